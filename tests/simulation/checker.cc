#include "tests/simulation/checker.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status/status_macros.h"
#include "common/sync/rcu.h"

namespace tributary::simulation {
namespace {

using reference::Place;
using reference::TotalKey;

// Below which offset of a partition, imports too, the snapshot counted everything.
std::map<int32_t, int64_t> Watermarks(const v1::SnapshotManifest& manifest) {
  std::map<int32_t, int64_t> watermarks;
  for (const v1::PartitionWatermark& mark : manifest.watermarks()) watermarks[mark.partition()] = mark.watermark();
  watermarks[-1] = int64_t{manifest.imports_size()} << kImportLineBits;
  return watermarks;
}

std::string Text(const TotalKey& key, const reference::Totals& totals) {
  return absl::StrCat(v1::Measure_Name(std::get<0>(key)), " '", std::get<1>(key), "' ",
                      v1::EventType_Name(std::get<2>(key)), " ", totals.events, "/", totals.quantity_micros, "/",
                      totals.value_micros);
}

}  // namespace

absl::Status Failed(absl::string_view check, absl::string_view what) {
  return absl::InternalError(absl::StrCat(check, ": ", what));
}

std::string CheckOf(const absl::Status& failure) {
  return std::string(failure.message().substr(0, failure.message().find(':')));
}

absl::Status Checker::CheckReplica(int number, const Replica& replica) {
  Watched& watched = watched_[number];
  EpochGuard guard;
  const serving::LivePartitions& live = replica.process().live.partitions();
  if (watched.restarts != replica.restarts()) {
    watched.applied.clear();
    watched.segments.clear();
  }
  for (size_t p = 0; p < live.partitions.size(); ++p) {
    int64_t& before = watched.applied[static_cast<int>(p)];
    const int64_t now = Value(live.partitions[p].applied());
    if (now < before) {
      return Failed("offsets", absl::StrCat("the applied offset fell: replica=", number, " partition=", p,
                                            " before=", before, " now=", now));
    }
    before = now;
    std::map<int64_t, int64_t> counted;
    for (const auto& [start, counts] : *live.partitions[p].segments) {
      counted[Value(start)] =
          std::min(Value(counts->order.applied), Value(start) + int64_t{config_.kafka().segment_size()});
    }
    std::map<int64_t, int64_t>& counted_before = watched.segments[static_cast<int>(p)];
    for (const auto& [start, end] : counted_before) {
      if (!counted.contains(start) && end > Value(live.partitions[p].floor())) {
        return Failed("segments", absl::StrCat("counts above the floor are gone: replica=", number, " partition=", p,
                                               " start=", start, " end=", end,
                                               " floor=", Value(live.partitions[p].floor())));
      }
    }
    counted_before = std::move(counted);
  }
  const int64_t generation = Value(replica.process().context.context().generation());
  if (generation != 0 && !truth_.activated.contains(generation)) {
    return Failed("activated", absl::StrCat("serves what was never activated: replica=", number,
                                            " generation=", generation));
  }
  if (generation != watched.generation && watched.restarts == replica.restarts()) {
    ++swaps_;
    if (generation < watched.generation) ++rollbacks_;
  }
  watched.generation = generation;
  watched.restarts = replica.restarts();
  return absl::OkStatus();
}

absl::Status Checker::CheckManifest(const v1::SnapshotManifest& manifest) const {
  std::map<int32_t, int64_t> watermarks = Watermarks(manifest);
  const auto seen = [&](const Place& place) { return place.offset < watermarks[place.partition]; };
  int64_t sessions = 0;
  for (const std::string& user : truth_.reference().Users()) sessions += truth_.reference().Sessions(user, seen);
  int64_t events = 0;
  for (const auto& [key, totals] : truth_.reference().AllTotals(seen)) {
    if (std::get<0>(key) == v1::OVERALL) events += totals.events;
  }
  if (manifest.events() == events && manifest.sessions() == sessions) return absl::OkStatus();
  return Failed("manifest", absl::StrCat("generation=", manifest.generation(), " events=", manifest.events(),
                                         " expected=", events, " sessions=", manifest.sessions(),
                                         " expected=", sessions));
}

absl::Status Checker::CheckForgotten(const v1::SnapshotManifest& manifest,
                                     const std::vector<KeptEvent>& kept) const {
  std::map<int32_t, int64_t> watermarks = Watermarks(manifest);
  const auto seen = [&](const Place& place) { return place.offset < watermarks[place.partition]; };
  std::map<std::string, std::optional<int64_t>> forgotten;
  for (const KeptEvent& row : kept) {
    const auto [until, first] = forgotten.try_emplace(row.user_id);
    if (first) until->second = truth_.reference().ForgottenUntil(row.user_id, seen);
    if (until->second && row.event_time_unix_ms <= *until->second) {
      return Failed("forgotten", absl::StrCat("the history still has what ", row.user_id, " did at ", row.place.partition,
                                              ":", row.place.offset));
    }
  }
  return absl::OkStatus();
}

absl::Status Checker::CheckTotals(const Replica& replica, bool at_rest) const {
  EpochGuard guard;
  const serving::ServingContext& context = replica.process().context.context();
  const serving::LivePartitions& live = replica.process().live.partitions();
  const std::map<int32_t, int64_t> watermarks = context.snapshot == nullptr
                                                   ? std::map<int32_t, int64_t>()
                                                   : Watermarks(context.snapshot->reader().manifest());
  const auto watermark = [&](int32_t partition) {
    const auto found = watermarks.find(partition);
    return found == watermarks.end() ? 0 : found->second;
  };
  bool refused = false;
  for (size_t p = 0; p < live.partitions.size(); ++p) {
    refused |= watermark(static_cast<int32_t>(p)) < Value(live.partitions[p].floor());
  }
  if (refused && context.snapshot == nullptr) return absl::OkStatus();  // Says so; what is live alone is not all.
  // A segment tells how far it is applied; one that reaches W adds what lies between the two.
  const int64_t size = config_.kafka().segment_size();
  const auto expected = truth_.reference().AllTotals([&](const Place& place) {
    if (place.offset < watermark(place.partition)) return true;
    if (place.partition >= 0 && at_rest) return true;
    if (place.partition < 0 || place.partition >= static_cast<int32_t>(live.partitions.size())) return false;
    const auto& segments = *live.partitions[static_cast<size_t>(place.partition)].segments;
    const auto segment = segments.find(Offset{place.offset - place.offset % size});
    return segment != segments.end() && place.offset < Value(segment->second->order.applied);
  });
  std::map<TotalKey, reference::Totals> got;
  for (int measure = v1::Measure_MIN + 1; measure <= v1::Measure_MAX; ++measure) {
    v1::TotalsRequest request;
    request.set_measure(static_cast<v1::Measure>(measure));
    std::set<std::string> keys;
    for (const auto& [key, totals] : expected) {
      if (std::get<0>(key) == measure && !std::get<1>(key).empty()) keys.insert(std::get<1>(key));
    }
    for (const std::string& key : keys) request.add_keys(key);
    if (keys.empty() && measure != v1::OVERALL) continue;
    v1::TotalsResponse response;
    const absl::Status status = replica.process().recommender.Totals(request, &response);
    if (refused != absl::IsFailedPrecondition(status)) {
      return Failed("floor", absl::StrCat("totals over a snapshot below the floor must be refused, and only they: ",
                                          "refused=", refused, " status=", status.ToString()));
    }
    if (refused) return absl::OkStatus();
    TRIBUTARY_RETURN_IF_ERROR(status);
    for (const v1::Total& total : response.totals()) {
      got[{request.measure(), total.key(), total.type()}] = {total.events(), total.quantity_micros(),
                                                             total.value_micros()};
    }
  }
  for (const auto& [key, totals] : expected) {
    if (got[key] != totals) {
      return Failed("totals", absl::StrCat("generation=", Value(context.generation()), " got ", Text(key, got[key]),
                                           " expected ", Text(key, totals)));
    }
  }
  for (const auto& [key, totals] : got) {
    if (!expected.contains(key)) return Failed("totals", absl::StrCat("counted from nothing: ", Text(key, totals)));
  }
  return absl::OkStatus();
}

}  // namespace tributary::simulation
