#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/status/status_macros.h"
#include "common/sync/rcu.h"
#include "tests/simulation/checker.h"

// Checker::CheckPopular and CheckWindows: what is made of live counts, against the reference.
namespace tributary::simulation {
namespace {

using reference::Place;
using reference::TotalKey;
using reference::Totals;

constexpr double kQuarterMs = 15 * 60 * 1000;

// Scores of a list against those of the reference, each over the best: the same items in the same order, but for what is
// equal as far as floats go.
absl::Status Compare(absl::Span<const ScoredItem> got, const std::map<std::string, double>& expected,
                     const Catalogue& catalogue, const std::string& who) {
  constexpr double kTolerance = 1e-4;
  double best = 0;
  for (const auto& [item, score] : expected) best = std::max(best, score);
  std::set<std::string> listed;
  double last = 1;
  for (const ScoredItem& scored : got) {
    const std::string item(catalogue.Id(scored.item));
    const auto found = expected.find(item);
    if (!listed.insert(item).second || found == expected.end() ||
        std::abs(found->second / best - scored.score) > kTolerance || scored.score > last) {
      return Failed("popular", absl::StrCat(who, " has ", item, "=", scored.score, " where the log has ",
                                            found == expected.end() ? -1 : found->second / best));
    }
    last = scored.score;
  }
  for (const auto& [item, score] : expected) {
    if (!listed.contains(item) && score > 0 && (got.size() < 500 || score / best > last + kTolerance)) {
      return Failed("popular", absl::StrCat(who, " lacks ", item, "=", score / best));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Checker::CheckPopular(const Replica& replica) const {
  EpochGuard guard;
  const serving::ServingContext& context = replica.process().context.context();
  const auto& live = replica.process().live.partitions().partitions;
  if (context.snapshot == nullptr) return absl::OkStatus();
  for (size_t p = 0; p < live.size(); ++p) {
    if (context.Watermark(PartitionId{static_cast<int32_t>(p)}) < live[p].floor()) return absl::OkStatus();
  }
  const serving::PopularNow* const popular = replica.process().popularity.Of(context);
  if (popular == nullptr) return Failed("popular", "the snapshot's lists are not counted on");
  const v1::SnapshotManifest& manifest = context.snapshot->reader().manifest();
  const double reference_ms =
      static_cast<double>(manifest.last_event_time().seconds()) * 1000 + manifest.last_event_time().nanos() / 1e6;
  const double half_life_ms = config_.batch().popularity_half_life_days() * 24 * 3600 * 1000;
  std::map<v1::EventType, double> weights;
  for (const v1::KindWeight& entry : config_.batch().kind_weights()) weights[entry.kind()] = entry.weight();
  std::map<std::string, double> live_scores;
  for (const auto& [key, totals] : truth_.reference().AllWindows([&](const Place& place) {
         return place.partition >= 0 && place.offset >= Value(context.Watermark(PartitionId{place.partition}));
       })) {
    const auto& [measure, item, type] = key.first;
    if (measure != v1::BY_ITEM || !weights.contains(type)) continue;
    live_scores[item] += weights[type] * static_cast<double>(totals.events) *
                         std::exp2((static_cast<double>(key.second) * kQuarterMs - reference_ms) / half_life_ms);
  }
  const Catalogue& catalogue = *context.catalogue;
  const auto expected = [&](absl::Span<const ScoredItem> stored, std::optional<CategoryNumber> category) {
    std::map<std::string, double> scores;
    for (const ScoredItem& scored : stored) scores[std::string(catalogue.Id(scored.item))] = scored.score;
    for (const auto& [id, score] : live_scores) {
      const std::optional<ItemNumber> item = catalogue.Find(id);
      if (!item || catalogue.IsDeleted(*item)) continue;
      const auto categories = catalogue.Categories(*item);
      if (category && std::find(categories.begin(), categories.end(), *category) == categories.end()) continue;
      scores[id] += score;
    }
    return scores;
  };
  const std::string who = absl::StrCat("generation=", manifest.generation());
  TRIBUTARY_RETURN_IF_ERROR(
      Compare(popular->Popular(), expected(context.snapshot->Popular(), std::nullopt), catalogue, who));
  for (uint32_t c = 0; c < catalogue.category_count(); ++c) {
    const CategoryNumber category{c};
    std::map<std::string, double> scores = expected(context.snapshot->PopularIn(category), category);
    // A category that nothing live touched keeps the list as it is stored, not over its best.
    if (scores.empty() || popular->PopularIn(category).data() == context.snapshot->PopularIn(category).data()) continue;
    TRIBUTARY_RETURN_IF_ERROR(Compare(popular->PopularIn(category), scores, catalogue,
                                      absl::StrCat(who, " category=", catalogue.CategoryName(category))));
  }
  return absl::OkStatus();
}

absl::Status Checker::CheckWindows(const Replica& replica) const {
  EpochGuard guard;
  const auto& live = replica.process().live.partitions().partitions;
  const int64_t size = config_.kafka().segment_size();
  const auto counted = truth_.reference().AllWindows([&](const Place& place) {
    if (place.partition < 0 || place.partition >= static_cast<int32_t>(live.size())) return false;
    const auto& segments = *live[static_cast<size_t>(place.partition)].segments;
    const auto segment = segments.find(Offset{place.offset - place.offset % size});
    return segment != segments.end() && place.offset < Value(segment->second->order.applied);
  });
  const std::set<Place> ahead = truth_.reference().DatedAhead();
  const auto complete =
      truth_.reference().AllWindows([&](const Place& place) { return place.partition >= 0 && !ahead.contains(place); });
  // As far as one request reaches: around now.
  const int64_t now = absl::ToUnixSeconds(replica.clock().Now()) / 900;
  const int64_t first = now - 3 * 96;
  const int64_t end = now + 2 * 96;
  std::set<TotalKey> keys;
  for (const auto& [key, totals] : complete) keys.insert(key.first);
  for (const TotalKey& key : keys) {
    v1::WindowsRequest request;
    request.set_measure(std::get<0>(key));
    request.set_key(std::get<1>(key));
    request.set_type(std::get<2>(key));
    request.mutable_start()->set_seconds(first * 900);
    request.mutable_end()->set_seconds(end * 900);
    v1::WindowsResponse response;
    TRIBUTARY_RETURN_IF_ERROR(replica.process().recommender.Windows(request, &response));
    std::map<int64_t, Totals> got;
    for (const v1::WindowsResponse::Window& window : response.windows()) {
      got[window.start().seconds() / 900] = {window.events(), window.quantity_micros(), window.value_micros()};
    }
    std::map<int64_t, Totals> expected;
    for (auto at = counted.lower_bound({key, first}); at != counted.end() && at->first < std::pair(key, end); ++at) {
      expected[at->first.second] = at->second;
    }
    const std::string who = absl::StrCat(v1::Measure_Name(request.measure()), " '", request.key(), "' ",
                                         v1::EventType_Name(request.type()));
    if (got != expected) {
      return Failed("windows", absl::StrCat(who, " has ", got.size(), " windows of ", expected.size(), ", or other counts"));
    }
    const int64_t from = response.has_complete_from() ? response.complete_from().seconds() / 900 : first;
    for (auto at = complete.lower_bound({key, std::max(from, first)});
         at != complete.end() && at->first < std::pair(key, end); ++at) {
      if (got[at->first.second].events < at->second.events) {
        return Failed("windows", absl::StrCat(who, " calls the window of ", at->first.second, " complete, which lacks events"));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace tributary::simulation
