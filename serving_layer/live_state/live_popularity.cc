#include "serving_layer/live_state/live_popularity.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

namespace tributary::serving {
namespace {

constexpr double kUnit = 0x1p-24;                 // As the batch layer's sums.
constexpr double kMostUnits = 0x1p45;             // Of one counter of one segment: so many segments add up.
constexpr double kQuarterHourMs = 15.0 * 60 * 1000;
// A reference that lies longer back is moved on, so that sums stay small.
constexpr double kLongestReferenceHalfLives = 4;
// An event that is dated ahead counts as one of so much later than the reference at most.
constexpr double kFurthestAheadHalfLives = kLongestReferenceHalfLives + 1;

bool IsBetter(const std::pair<ItemNumber, double>& a, const std::pair<ItemNumber, double>& b) {
  return a.second != b.second ? a.second > b.second : a.first < b.first;
}

// The best `length`, best first; scores over the best one.
std::vector<ScoredItem> Best(std::vector<std::pair<ItemNumber, double>> items, size_t length) {
  const size_t kept = std::min(items.size(), length);
  std::partial_sort(items.begin(), items.begin() + static_cast<ptrdiff_t>(kept), items.end(), IsBetter);
  std::vector<ScoredItem> list;
  list.reserve(kept);
  for (size_t i = 0; i < kept; ++i) {
    list.push_back({items[i].first, static_cast<float>(items[i].second / items[0].second)});
  }
  return list;
}

}  // namespace

const PopularNow* LivePopularity::Of(const ServingContext& context) const {
  if (const auto* const published = published_.Load(); published != nullptr) {
    for (const std::shared_ptr<const PopularNow>& lists : *published) {
      if (lists->snapshot_ == context.snapshot) {
        return lists.get();
      }
    }
  }
  return nullptr;
}

void LivePopularity::RunOnce(absl::Time now, const ContextPublisher& context) {
  ServedContexts contexts;
  {
    EpochGuard guard;
    contexts = context.contexts();
  }
  std::vector<Sums> kept;
  Follow(contexts.current, now, &kept);
  if (contexts.other) {
    Follow(*contexts.other, now, &kept);
  }
  bool changed = kept.size() != sums_.size();
  std::vector<std::shared_ptr<const PopularNow>> lists;
  for (size_t i = 0; i < kept.size(); ++i) {
    const ServingContext& of = kept[i].snapshot == contexts.current.snapshot ? contexts.current : *contexts.other;
    const auto before = std::find_if(lists_.begin(), lists_.end(),
                                     [&](const auto& other) { return other->snapshot_ == kept[i].snapshot; });
    if (kept[i].changed || kept[i].catalogue != of.catalogue || before == lists_.end()) {
      lists.push_back(Lists(of, kept[i]));
      kept[i].changed = false;
      kept[i].catalogue = of.catalogue;
      changed = true;
    } else {
      lists.push_back(*before);
    }
  }
  sums_ = std::move(kept);
  if (changed) {
    lists_ = lists;
    published_.Publish(std::make_unique<const std::vector<std::shared_ptr<const PopularNow>>>(std::move(lists)));
  }
}

void LivePopularity::Follow(const ServingContext& context, absl::Time now, std::vector<Sums>* kept) {
  if (context.snapshot == nullptr || !context.snapshot->reader().manifest().has_popularity()) {
    return;
  }
  const v1::PopularityMeasure& measure = context.snapshot->reader().manifest().popularity();
  const double half_life_ms = measure.half_life_days() * 24 * 3600 * 1000;
  if (!(half_life_ms > 0) || !std::isfinite(half_life_ms)) {
    return;
  }
  const int64_t now_unix_ms = absl::ToUnixMillis(now);
  const auto known =
      std::find_if(sums_.begin(), sums_.end(), [&](const Sums& sums) { return sums.snapshot == context.snapshot; });
  if (known != sums_.end() && static_cast<double>(std::abs(now_unix_ms - known->reference_unix_ms)) <=
                                  kLongestReferenceHalfLives * half_life_ms) {
    kept->push_back(std::move(*known));
  } else {
    Sums& sums = kept->emplace_back();
    sums.snapshot = context.snapshot;
    sums.half_life_ms = half_life_ms;
    sums.reference_unix_ms = now_unix_ms;
    for (const v1::KindWeight& entry : measure.kind_weights()) {
      if (entry.kind() > 0 && static_cast<size_t>(entry.kind()) < sums.weights.size() && entry.weight() >= 0 &&
          entry.weight() <= 1000) {
        sums.weights[static_cast<size_t>(entry.kind())] = entry.weight();
      }
    }
  }
  Sums& sums = kept->back();
  std::vector<std::shared_ptr<const LiveSegments>> live;
  {
    EpochGuard guard;
    for (const LivePartitionState& partition : live_.partitions().partitions) {
      live.push_back(partition.segments);
    }
  }
  sums.counted.resize(std::max(sums.counted.size(), live.size()));
  for (size_t p = 0; p < live.size(); ++p) {
    const PartitionId partition{static_cast<int32_t>(p)};
    LiveSegments& before = sums.counted[p];
    bool changed = false;
    for (const auto& [start, segment] : before) {
      const auto now_there = live[p]->find(start);
      if (now_there == live[p]->end() || now_there->second != segment) {
        CountSegment(partition, start, *segment, -1, &sums);
        changed = true;
      }
    }
    for (const auto& [start, segment] : *live[p]) {
      const auto was_there = before.find(start);
      if (was_there == before.end() || was_there->second != segment) {
        CountSegment(partition, start, *segment, +1, &sums);
        changed = true;
      }
    }
    if (changed) {
      before = *live[p];
    }
  }
}

void LivePopularity::CountSegment(PartitionId partition, Offset start, const LiveSegmentCounts& segment, int64_t sign,
                                  Sums* sums) const {
  const Offset watermark = sums->snapshot->Watermark(partition);
  if (Value(start) + segment_size_ <= Value(watermark) ||
      (start < watermark && segment.order.applied < watermark)) {
    return;
  }
  Count(segment.counts, sign, sums);
  if (start < watermark) {
    Count(sums->snapshot->CutCounts(partition), -sign, sums);
  }
}

void LivePopularity::Count(const SegmentCounts& counts, int64_t sign, Sums* sums) const {
  counts.ForEach([&](const CountKey& key, int64_t quarter_hour, const CountAmounts& amounts) {
    const auto type = static_cast<size_t>(key.type);
    const double weight = key.measure == v1::BY_ITEM && type < sums->weights.size() ? sums->weights[type] : 0;
    if (weight == 0) {
      return;
    }
    const double ahead =
        (static_cast<double>(quarter_hour) * kQuarterHourMs - static_cast<double>(sums->reference_unix_ms)) /
        sums->half_life_ms;
    const double exact = weight * std::exp2(std::min(ahead, kFurthestAheadHalfLives)) *
                         static_cast<double>(amounts.events) / kUnit;
    const int64_t units = std::llround(std::min(exact, kMostUnits));
    if (units == 0) {
      return;
    }
    const auto item = sums->items.try_emplace(key.key, 0).first;
    item->second += sign * units;
    if (item->second == 0) {
      sums->items.erase(item);
    }
    sums->changed = true;
  });
}

std::shared_ptr<const PopularNow> LivePopularity::Lists(const ServingContext& context, const Sums& sums) {
  const v1::PopularityMeasure& measure = sums.snapshot->reader().manifest().popularity();
  // The snapshot's scores, as of the sums' reference.
  const double scale = std::exp2(std::clamp(
      static_cast<double>(measure.reference_unix_ms() - sums.reference_unix_ms) / sums.half_life_ms, -900.0, 900.0));
  absl::flat_hash_map<uint32_t, double> live;
  absl::flat_hash_map<uint32_t, std::vector<std::pair<ItemNumber, double>>> by_category;
  for (const auto& [item_id, units] : sums.items) {
    const std::optional<ItemNumber> item = units > 0 ? context.catalogue->Find(item_id) : std::nullopt;
    if (!item || context.catalogue->IsDeleted(*item)) {
      continue;
    }
    const double score = static_cast<double>(units) * kUnit;
    live[Value(*item)] = score;
    for (const CategoryNumber category : context.catalogue->Categories(*item)) {
      by_category[Value(category)].emplace_back(*item, score);
    }
  }
  const auto with_snapshot = [&](absl::Span<const ScoredItem> stored, std::vector<std::pair<ItemNumber, double>> items) {
    absl::flat_hash_map<uint32_t, size_t> places;
    for (size_t i = 0; i < items.size(); ++i) {
      places[Value(items[i].first)] = i;
    }
    for (const ScoredItem& scored : stored) {
      const double score = scored.score * scale;
      if (const auto place = places.find(Value(scored.item)); place != places.end()) {
        items[place->second].second += score;
      } else {
        items.emplace_back(scored.item, score);
      }
    }
    // As long as the snapshot's own list; where few items are known, all that are live.
    constexpr size_t kShortestLength = 500;
    return Best(std::move(items), std::max(stored.size(), kShortestLength));
  };
  auto lists = std::make_shared<PopularNow>();
  lists->snapshot_ = sums.snapshot;
  std::vector<std::pair<ItemNumber, double>> all;
  all.reserve(live.size());
  for (const auto& [item, score] : live) {
    all.emplace_back(ItemNumber{item}, score);
  }
  lists->popular_ = with_snapshot(sums.snapshot->Popular(), std::move(all));
  for (auto& [category, items] : by_category) {
    lists->popular_in_[category] = with_snapshot(sums.snapshot->PopularIn(CategoryNumber{category}), std::move(items));
  }
  return lists;
}

}  // namespace tributary::serving
