#include "common/merge/live_facts.h"

#include <algorithm>
#include <tuple>

#include "absl/strings/str_cat.h"

namespace tributary {
namespace {

// FORGET names no item: UserHistory ignores the number.
constexpr ItemNumber kNoItem{};

DecisionKey KeyOf(const LiveFact& live) {
  return {.event_time_unix_ms = live.fact->event_time_unix_ms, .position = live.position};
}

}  // namespace

bool IsSessionKind(EventType kind) {
  switch (kind) {
    case v1::VIEW:
    case v1::CLICK:
    case v1::ADD_TO_CART:
    case v1::PURCHASE:
    case v1::LIKE:
    case v1::RATING:
      return true;
    default:
      return false;
  }
}

absl::Status ReadLiveFacts(absl::Span<const LivePartition> partitions, const Catalogue& catalogue, UserHistory* history,
                           std::vector<LiveFact>* facts) {
  facts->clear();
  for (const LivePartition& partition : partitions) {
    if (partition.watermark < partition.floor) {
      return absl::FailedPreconditionError(
          absl::StrCat("snapshot is too old for the live view: partition=", Value(partition.partition),
                       " watermark=", Value(partition.watermark), " floor=", Value(partition.floor)));
    }
    for (const absl::Span<const Fact>& part : {partition.recent, partition.facts}) {
      for (const Fact& fact : part) {
        LiveFact live{.fact = &fact, .position = {partition.partition, fact.offset}};
        live.above_watermark = fact.offset >= partition.watermark;
        if (!fact.item_id.empty()) {
          live.item = catalogue.Find(fact.item_id);
        }
        // What was forgotten stays so on either side of W: the snapshot says the same, and saying it twice does nothing.
        if (fact.kind == v1::FORGET) {
          history->Apply(fact.kind, kNoItem, KeyOf(live), 0);
        }
        facts->push_back(live);
      }
    }
  }
  const std::optional<int64_t> forgotten = history->forgotten_until_unix_ms();
  if (forgotten) {
    facts->erase(std::remove_if(facts->begin(), facts->end(),
                                [&](const LiveFact& live) { return live.fact->event_time_unix_ms <= *forgotten; }),
                 facts->end());
  }
  std::sort(facts->begin(), facts->end(), [](const LiveFact& a, const LiveFact& b) {
    return std::tie(a.fact->event_time_unix_ms, a.position) < std::tie(b.fact->event_time_unix_ms, b.position);
  });
  for (const LiveFact& live : *facts) {
    if (live.above_watermark && live.item && IsLongTerm(live.fact->kind)) {
      history->Apply(live.fact->kind, *live.item, KeyOf(live), live.fact->value_micros);
    }
  }
  return absl::OkStatus();
}

}  // namespace tributary
