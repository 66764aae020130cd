#include "tests/bench/globo_clicks.h"

#include <algorithm>
#include <random>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "tests/bench/top_n_split.h"

namespace tributary::bench {
namespace {

constexpr uint64_t kOneOf = 20;

template <typename Sum>
double MeanOf(const std::vector<uint32_t>& ranks, Sum part) {
  double sum = 0;
  for (const uint32_t rank : ranks) sum += rank > 0 ? part(rank) : 0;
  return sum / static_cast<double>(std::max<size_t>(1, ranks.size()));
}

}  // namespace

std::vector<Click> ReadGlobo() {
  const std::string text = ReadData("globo/clicks.csv.zst");
  absl::flat_hash_map<absl::string_view, uint32_t> users, sessions, items;
  const auto number = [](auto& numbers, absl::string_view id) {
    return numbers.try_emplace(id, static_cast<uint32_t>(numbers.size())).first->second;
  };
  std::vector<Click> clicks;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ',');
    Click click;
    if (!absl::SimpleAtoi(fields[5], &click.time_unix_ms)) continue;  // The header.
    click.user = number(users, fields[0]);
    click.session = number(sessions, fields[1]);
    click.item = number(items, fields[4]);
    clicks.push_back(click);
  }
  return clicks;
}

std::vector<Click> SyntheticNews() {
  std::mt19937_64 random(1);
  std::vector<Click> clicks;
  for (uint32_t s = 0; s < 8'000; ++s) {
    const int64_t begin = static_cast<int64_t>(random() % static_cast<uint64_t>(10 * kDayMs));
    for (uint32_t i = 0; i < 2 + s % 4; ++i) {
      const int64_t time = begin + i * int64_t{30'000};
      const auto item = static_cast<uint32_t>(time / (36 * kHourMs) * 60 + static_cast<int64_t>(random() % 60));
      clicks.push_back({.time_unix_ms = time, .user = s, .session = s, .item = item});
    }
  }
  std::stable_sort(clicks.begin(), clicks.end(),
                   [](const Click& a, const Click& b) { return a.time_unix_ms < b.time_unix_ms; });
  return clicks;
}

std::vector<bool> ChoosePlaces(const std::vector<Click>& clicks, const Days& days) {
  std::mt19937_64 random(1);
  absl::flat_hash_set<uint32_t> sessions;
  std::vector<bool> chosen;
  for (const Click& click : clicks) {
    const int64_t day = (click.time_unix_ms - clicks.front().time_unix_ms) / kDayMs + 1;
    const bool goes_on = !sessions.insert(click.session).second;
    chosen.push_back(day >= days.first && day <= days.last && goes_on && random() % kOneOf == 0);
  }
  return chosen;
}

double Ranks::HitRate() const {
  return MeanOf(ranks, [](uint32_t) { return 1.0; });
}

double Ranks::Mrr() const {
  return MeanOf(ranks, [](uint32_t rank) { return 1 / static_cast<double>(rank); });
}

}  // namespace tributary::bench
