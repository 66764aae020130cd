#include "batch_layer/models/popularity.h"

#include <glog/logging.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "common/dense/top_items.h"

namespace tributary::batch {
namespace {

constexpr double kUnit = 0x1p-24;

// What one event adds.
int64_t UnitsOf(const PopularityOptions& options, v1::EventType kind, absl::Time event_time) {
  const double weight = options.weights[static_cast<size_t>(kind)];
  if (weight == 0) {
    return 0;
  }
  const absl::Duration age = std::max(options.reference - event_time, absl::ZeroDuration());
  return std::llround(weight * std::exp2(-absl::FDivDuration(age, options.half_life)) / kUnit);
}

float ScoreOf(int64_t sum) { return static_cast<float>(static_cast<double>(sum) * kUnit); }

}  // namespace

Popularity::Popularity(uint32_t items, const PopularityOptions& options) : options_(options), sums_(items) {
  CHECK_GT(options.half_life, absl::ZeroDuration());
}

void Popularity::Add(v1::EventType kind, ItemNumber item, absl::Time event_time) {
  sums_[Value(item)] += UnitsOf(options_, kind, event_time);
}

void Popularity::Merge(const Popularity& slice) {
  CHECK_EQ(slice.sums_.size(), sums_.size());
  for (size_t i = 0; i < sums_.size(); ++i) {
    sums_[i] += slice.sums_[i];
  }
}

double Popularity::Score(ItemNumber item) const { return static_cast<double>(sums_[Value(item)]) * kUnit; }

std::vector<ScoredItem> Popularity::Top(size_t n) const {
  TopItems best(n);
  for (uint32_t i = 0; i < sums_.size(); ++i) {
    if (sums_[i] > 0) {
      best.Offer(i, ScoreOf(sums_[i]));
    }
  }
  return best.Take();
}

std::map<std::string, std::vector<ScoredItem>> Popularity::TopByCategory(
    size_t n, absl::FunctionRef<std::vector<std::string>(ItemNumber)> categories_of) const {
  std::map<std::string, TopItems> best;
  for (uint32_t i = 0; i < sums_.size(); ++i) {
    if (sums_[i] <= 0) {
      continue;
    }
    const std::vector<std::string> categories = categories_of(ItemNumber{i});
    for (const std::string& category : std::set<std::string>(categories.begin(), categories.end())) {
      best.try_emplace(category, n).first->second.Offer(i, ScoreOf(sums_[i]));
    }
  }
  std::map<std::string, std::vector<ScoredItem>> lists;
  for (auto& [category, items] : best) {
    lists.emplace(category, items.Take());
  }
  return lists;
}

void SegmentPopularity::Add(uint32_t segment, v1::EventType kind, ItemNumber item, absl::Time event_time) {
  if (const int64_t units = UnitsOf(options_, kind, event_time); units > 0) {
    sums_[{segment, Value(item)}] += units;
  }
}

// The best do not depend on the order in which they are offered.
std::map<uint32_t, std::vector<ScoredItem>> SegmentPopularity::Top(size_t n) const {
  std::map<uint32_t, TopItems> best;
  for (const auto& [key, sum] : sums_) {
    best.try_emplace(key.first, n).first->second.Offer(key.second, ScoreOf(sum));
  }
  std::map<uint32_t, std::vector<ScoredItem>> lists;
  for (auto& [segment, items] : best) {
    lists.emplace(segment, items.Take());
  }
  return lists;
}

}  // namespace tributary::batch
