#include "common/user_state/packed_facts.h"

#include <limits>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/reference/seed.h"

namespace tributary {
namespace {

FactView ViewOf(const Fact& fact) {
  return {fact.kind,       fact.item_id, fact.event_time_unix_ms, fact.offset, fact.value_micros, fact.quantity_micros,
          fact.session_id, fact.text,    fact.record_time_unix_ms};
}

class RandomFacts {
 public:
  explicit RandomFacts(uint64_t seed) : random_(seed) {}
  Fact Next() {
    Fact fact;
    fact.kind = Below(20) == 0 ? static_cast<EventType>(Extreme()) : static_cast<EventType>(Below(15));
    fact.item_id = Text();
    fact.event_time_unix_ms = Number(1'700'000'000'000);
    fact.offset = Offset{Number(100'000)};
    if (Below(3) == 0) fact.value_micros = Number(5'000'000);
    if (Below(3) == 0) fact.quantity_micros = Number(1'000'000);
    fact.session_id = Below(3) == 0 ? Text() : session_;
    session_ = fact.session_id;
    fact.text = Text();
    fact.record_time_unix_ms = Number(1'700'000'000'000);
    return fact;
  }
  uint64_t Below(uint64_t n) { return random_() % n; }

 private:
  int64_t Extreme() {
    constexpr int64_t kValues[] = {
        std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max(), -1, 0, 15, 16};
    return kValues[Below(std::size(kValues))];
  }
  int64_t Number(int64_t usual) { return Below(10) == 0 ? Extreme() : usual + static_cast<int64_t>(Below(100'000)); }
  std::string Text() { return Below(3) == 0 ? "" : std::string(Below(30) == 0 ? 1000 : 1 + Below(12), 'a'); }

  std::mt19937_64 random_;
  std::string session_;
};

TEST(PackedFactsTest, WhatGoesInComesOut) {
  RandomFacts facts(reference::TestSeed());
  for (int run = 0; run < 300; ++run) {
    PackedFacts packed;
    std::vector<Fact> expected;
    for (int n = 0; n < 60; ++n) {
      if (facts.Below(15) == 0) {
        // An entry says what differs from the one before, which may go.
        const uint64_t dropped = facts.Below(4);
        std::vector<Fact> kept;
        uint64_t index = 0;
        const auto keep = [&](const auto&) { return index++ % 4 != dropped; };
        for (const Fact& fact : expected) {
          if (keep(fact)) kept.push_back(fact);
        }
        index = 0;
        EXPECT_EQ(packed.KeepIf(keep), kept.size() != expected.size());
        expected = std::move(kept);
      }
      expected.push_back(facts.Next());
      packed.Append(ViewOf(expected.back()));
      ASSERT_EQ(packed.size(), expected.size());
      ASSERT_EQ(packed.last_offset(), expected.back().offset);
      ASSERT_EQ(FactOf(packed.front()), expected.front());
    }
    ASSERT_EQ(packed.ToVector(), expected) << "run=" << run;
  }
}

TEST(PackedFactsTest, AUsualFactTakesFewBytes) {
  PackedFacts packed;
  for (int n = 0; n < 20; ++n) {
    const std::string item = "item-" + std::to_string(10'000 + n);
    const std::string session = "session-" + std::to_string(n / 5);
    packed.Append({.kind = v1::VIEW,
                   .item_id = item,
                   .event_time_unix_ms = 1'700'000'000'000 + n * 1000,
                   .offset = Offset{1'000'000 + n * 300},
                   .session_id = session,
                   .record_time_unix_ms = 1'700'000'000'100 + n * 1000});
  }
  EXPECT_LE(packed.allocated_bytes(), 20 * 26u);
}

}  // namespace
}  // namespace tributary
