#include "batch_layer/pipeline/dataset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "absl/types/span.h"
#include "batch_layer/pipeline/interactions.h"

namespace tributary::batch {
namespace {

DenseEvent Did(EventType kind, uint32_t item, int64_t time, int64_t offset, int64_t value = 0) {
  DenseEvent event;
  event.kind = static_cast<uint8_t>(kind);
  event.item = item;
  event.event_time_unix_ms = time;
  event.offset = Offset{offset};
  event.value_micros = value;
  return event;
}

std::vector<Observation> ObservationsOf(const std::vector<DenseEvent>& events, int64_t since = 0) {
  KindWeights weights{};
  weights[v1::VIEW] = 1;
  weights[v1::PURCHASE] = 5;
  weights[v1::RATING] = 2;
  std::vector<Observation> observations;
  AppendObservations(FoldUser(events, ForgottenUsers::kNever, true), 7, weights, 2, since, &observations);
  return observations;
}

TEST(FoldUserTest, TheOrderOfArrivalDoesNotMatterAndAgreesWithApplyingOneByOne) {
  std::mt19937_64 random(1);
  std::vector<DenseEvent> events;
  for (int i = 0; i < 2000; ++i) {
    const auto kind = static_cast<EventType>(1 + random() % (v1::EventType_ARRAYSIZE - 1));
    events.push_back(Did(kind, random() % 50, static_cast<int64_t>(random() % 100), i));
  }
  UserHistory plain;
  for (const DenseEvent& event : events) {
    plain.Apply(event.type(), ItemNumber{event.item}, event.key(), event.value_micros);
  }
  EXPECT_EQ(FoldUser(events, ForgottenUsers::kNever, true), plain);
  std::shuffle(events.begin(), events.end(), random);
  EXPECT_EQ(FoldUser(events, ForgottenUsers::kNever, true), plain);
}

TEST(FoldUserTest, AnonymousEventsCanBeLeftOut) {
  std::vector<DenseEvent> events = {Did(v1::VIEW, 1, 1, 1), Did(v1::VIEW, 2, 2, 2)};
  events[0].anonymous = true;
  EXPECT_EQ(FoldUser(events, ForgottenUsers::kNever, true).decisions().size(), 2u);
  ASSERT_EQ(FoldUser(events, ForgottenUsers::kNever, false).decisions().size(), 1u);
  EXPECT_EQ(FoldUser(events, ForgottenUsers::kNever, false).decisions()[0].item, ItemNumber{2});
}

TEST(InteractionsTest, WeightsOfAnItemsKindsAreAddedAndTheLatestTimeCounts) {
  const auto observations = ObservationsOf({Did(v1::VIEW, 3, 1, 1), Did(v1::PURCHASE, 3, 2, 2), Did(v1::VIEW, 4, 1, 3)});
  ASSERT_EQ(observations.size(), 2u);
  EXPECT_EQ(observations[0].interaction.row, 7u);
  EXPECT_EQ(observations[0].interaction.item, 3u);
  EXPECT_EQ(observations[0].interaction.weight, 6);
  EXPECT_EQ(observations[0].time_unix_ms, 2);
  EXPECT_EQ(observations[1].interaction.weight, 1);
}

TEST(InteractionsTest, WhatWasReturnedOrDislikedSaysNothing) {
  EXPECT_TRUE(ObservationsOf({Did(v1::PURCHASE, 3, 1, 1), Did(v1::RETURN, 3, 2, 2)}).empty());
  EXPECT_EQ(ObservationsOf({Did(v1::RETURN, 3, 1, 1), Did(v1::PURCHASE, 3, 2, 2)}).size(), 1u);
  EXPECT_TRUE(ObservationsOf({Did(v1::PURCHASE, 3, 1, 1), Did(v1::DISLIKE, 3, 2, 2)}).empty());
  EXPECT_TRUE(ObservationsOf({Did(v1::VIEW, 3, 1, 1), Did(v1::RATING, 3, 2, 2, 2'000'000)}).empty());
  EXPECT_EQ(ObservationsOf({Did(v1::DISLIKE, 3, 1, 1), Did(v1::RATING, 3, 2, 2, 4'000'000)}).size(), 1u);
}

TEST(InteractionsTest, WhatLiesTooFarBackSaysNothingButStillTakesBack) {
  const auto observations = ObservationsOf({Did(v1::VIEW, 3, 1, 1), Did(v1::PURCHASE, 3, 9, 2), Did(v1::VIEW, 4, 4, 3)}, 5);
  ASSERT_EQ(observations.size(), 1u);
  EXPECT_EQ(observations[0].interaction.item, 3u);
  EXPECT_EQ(observations[0].interaction.weight, 5);
  EXPECT_TRUE(ObservationsOf({Did(v1::DISLIKE, 3, 1, 1), Did(v1::PURCHASE, 3, 9, 2)}, 5).empty());
}

TEST(CountSessionsTest, IdsAndGapsMakeSessionsAndImpressionsNone) {
  constexpr int64_t kMinute = 60'000;
  std::vector<DenseEvent> events = {Did(v1::VIEW, 1, 0, 1), Did(v1::VIEW, 1, 20 * kMinute, 2), Did(v1::VIEW, 1, 60 * kMinute, 3),
                                    Did(v1::VIEW, 1, 61 * kMinute, 4), Did(v1::VIEW, 1, 300 * kMinute, 5)};
  events[3].session = events[4].session = 9;
  EXPECT_EQ(CountSessions(events), 3);
  EXPECT_EQ(CountSessions({Did(v1::IMPRESSION, 1, 0, 1), Did(v1::ADJUSTMENT, 1, 0, 2)}), 0);
}

}  // namespace
}  // namespace tributary::batch
