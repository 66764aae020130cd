#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/merge/merge.h"
#include "common/status/status_macros.h"
#include "common/sync/rcu.h"
#include "common/user_state/live_user.h"
#include "common/user_state/user_history.h"
#include "tests/simulation/checker.h"
#include "tests/simulation/plan.h"

// Checker::CheckAnswer: one user on one replica against the reference.
namespace tributary::simulation {
namespace {

using reference::Place;

// Per item and kind the latest event, as the reference tells facts.
using Decisions = std::map<std::pair<std::string, v1::EventType>, reference::Fact>;

std::string Text(const reference::Fact& fact) {
  return absl::StrCat(v1::EventType_Name(fact.kind), " ", fact.item_id, " of ", fact.when.event_time_unix_ms, " at ",
                      fact.when.place.partition, ":", fact.when.place.offset, " value=", fact.value_micros);
}

// What the replica knows of one partition of the user, as it says itself.
struct PartitionClaim {
  int64_t watermark = 0;
  int64_t floor = 0;    // Below this there are no facts.
  int64_t applied = 0;  // Up to here the user's facts are complete.
  const serving::LiveView* view = nullptr;
};

class AnswerCheck {
 public:
  AnswerCheck(const reference::Reference& reference, const std::vector<CatalogueVersion>& versions,
              const Replica& replica, const std::string& user)
      : reference_(reference),
        versions_(versions),
        replica_(replica),
        process_(replica.process()),
        user_(user),
        context_(ContextOf(replica, user)),
        now_(absl::ToUnixMillis(replica.clock().Now())) {
    ReadClaims();
  }

  absl::Status Run(int64_t variant) {
    v1::RecommendRequest request;
    request.set_user_id(user_);
    request.set_limit(variant % 3 == 0 ? 3 : 2 * kItems);
    request.set_exclude_seen(variant % 5 == 0);
    v1::RecommendResponse response;
    const absl::Status answered = process_.recommender.Recommend(request, &response);
    if (context_.snapshot == nullptr && below_floor_) return absl::OkStatus();  // Flagged: live alone is not all.
    if (below_floor_ != absl::IsFailedPrecondition(answered)) {
      return Failed("floor", absl::StrCat(Who(), below_floor_ ? " is answered from a snapshot below the floor"
                                                              : " is refused without need: ",
                                          answered.message()));
    }
    if (below_floor_) return absl::OkStatus();
    if (!answered.ok()) return Failed("answer", absl::StrCat(Who(), " has none: ", answered.ToString()));
    TRIBUTARY_RETURN_IF_ERROR(CheckFreshness(response.freshness()));
    TRIBUTARY_RETURN_IF_ERROR(CheckFacts());
    TRIBUTARY_RETURN_IF_ERROR(CheckImpressions());
    TRIBUTARY_RETURN_IF_ERROR(CheckDecisions());
    TRIBUTARY_RETURN_IF_ERROR(CheckSessions());
    TRIBUTARY_RETURN_IF_ERROR(CheckSuppressed(response));
    TRIBUTARY_RETURN_IF_ERROR(CheckFatigue(response));
    return CheckMerge(request, response);
  }

 private:
  // What the user must be served from: of a canary's users, the candidate, unless it lies below the floor.
  static const serving::ServingContext& ContextOf(const Replica& replica, const std::string& user) {
    const serving::ServedContexts& contexts = replica.process().context.contexts();
    if (!contexts.other) return contexts.current;
    const auto& live = replica.process().live.partitions().partitions;
    for (size_t p = 0; p < live.size(); ++p) {
      if (contexts.other->Watermark(PartitionId{static_cast<int32_t>(p)}) < live[p].floor()) return contexts.current;
    }
    const uint64_t hash = XXH64(user.data(), user.size(), static_cast<uint64_t>(Value(contexts.other->generation())));
    return static_cast<double>(hash) < std::ldexp(contexts.other_share, 64) ? *contexts.other : contexts.current;
  }

  void ReadClaims() {
    const serving::LivePartitions& live = process_.live.partitions();
    for (size_t p = 0; p < live.partitions.size(); ++p) {
      PartitionClaim& claim = claims_[static_cast<int32_t>(p)];
      claim.floor = Value(live.partitions[p].floor());
      claim.applied = Value(live.partitions[p].applied());
      claim.watermark = Value(context_.Watermark(PartitionId{static_cast<int32_t>(p)}));
      below_floor_ |= claim.watermark < claim.floor;
    }
    if (context_.snapshot != nullptr) {
      const v1::SnapshotManifest& manifest = context_.snapshot->reader().manifest();
      for (const v1::PartitionWatermark& mark : manifest.watermarks()) {
        claims_[mark.partition()].watermark = mark.watermark();
      }
      imports_ = int64_t{manifest.imports_size()} << kImportLineBits;
    }
    const serving::LiveUserViews* views = process_.live.FindUser(user_);
    if (views == nullptr) return;
    for (const auto& view : views->views) {
      PartitionClaim& claim = claims_[Value(view->partition)];
      claim.view = view.get();
      claim.floor = Value(view->order.floor);
      claim.applied = std::max(claim.applied, Value(view->order.applied));
      below_floor_ |= claim.watermark < claim.floor;
    }
  }

  std::string Who() const {
    std::string who = absl::StrCat(user_, " generation=", Value(context_.generation()));
    for (const auto& [p, claim] : claims_) {
      absl::StrAppend(&who, " ", p, "[W=", claim.watermark, " floor=", claim.floor, " applied=", claim.applied,
                      claim.view ? " view" : "", "]");
    }
    return who;
  }

  bool InSnapshot(const Place& place) const {
    if (place.partition < 0) return place.offset < imports_;
    const auto claim = claims_.find(place.partition);
    return claim != claims_.end() && place.offset < claim->second.watermark;
  }
  bool Seen(const Place& place) const {
    if (place.partition < 0) return place.offset < imports_;
    const auto claim = claims_.find(place.partition);
    return claim != claims_.end() && place.offset < std::max(claim->second.watermark, claim->second.applied);
  }
  std::vector<reference::Fact> SeenFacts() const {
    return reference_.Facts(user_, [this](const Place& place) { return Seen(place); });
  }
  std::optional<int64_t> ForgottenUntil() const {
    return reference_.ForgottenUntil(user_, [this](const Place& place) { return Seen(place); });
  }
  bool AboveFloor(const Place& place) const {
    return place.partition >= 0 && place.offset >= claims_.at(place.partition).floor &&
           place.offset < claims_.at(place.partition).applied;
  }

  absl::Status CheckFreshness(const v1::Freshness& freshness) const {
    const serving::LivePartitions& live = process_.live.partitions();
    bool right = freshness.generation() == Value(context_.generation());
    for (const v1::PartitionFreshness& partition : freshness.partitions()) {
      right &= partition.watermark() == claims_.at(partition.partition()).watermark &&
               partition.applied_offset() ==
                   Value(live.partitions[static_cast<size_t>(partition.partition())].applied());
    }
    return right ? absl::OkStatus() : Failed("freshness", absl::StrCat(Who(), " ", freshness.ShortDebugString()));
  }

  absl::Status CheckFacts() const {
    std::vector<reference::Fact> expected = SeenFacts();
    std::erase_if(expected, [&](const reference::Fact& fact) { return !AboveFloor(fact.when.place); });
    const std::optional<int64_t> forgotten = ForgottenUntil();
    std::vector<reference::Fact> got;
    for (const auto& [p, claim] : claims_) {
      if (claim.view == nullptr) continue;
      for (const Fact& fact : claim.view->facts) {
        if (forgotten && fact.event_time_unix_ms <= *forgotten) continue;
        got.push_back({fact.kind, fact.item_id, {fact.event_time_unix_ms, {p, Value(fact.offset)}}, fact.value_micros,
                       fact.session_id});
      }
    }
    return Compare("facts", got, expected);
  }

  // What the user was shown in the last day, whatever W and the floor are.
  absl::Status CheckImpressions() const {
    std::vector<reference::Fact> expected = reference_.Impressions(user_, [this](const Place& place) {
      const auto claim = claims_.find(place.partition);
      return claim != claims_.end() && place.offset < claim->second.applied;
    });
    // Of a FORGET the snapshot may know more.
    const std::optional<int64_t> forgotten = ForgottenUntil();
    std::erase_if(expected, [&](const reference::Fact& fact) { return forgotten && fact.when.event_time_unix_ms <= *forgotten; });
    std::vector<reference::Fact> got;
    for (const auto& [p, claim] : claims_) {
      if (claim.view == nullptr) continue;
      for (const Fact& fact : claim.view->impressions) {
        if (forgotten && fact.event_time_unix_ms <= *forgotten) continue;
        if (reference_.RecordTime(p) - fact.record_time_unix_ms > kRecentFactMs) continue;
        got.push_back({fact.kind, fact.item_id, {fact.event_time_unix_ms, {p, Value(fact.offset)}}, 0, ""});
      }
    }
    return Compare("impressions", got, expected);
  }

  absl::Status Compare(absl::string_view check, const std::vector<reference::Fact>& got,
                       const std::vector<reference::Fact>& expected) const {
    const auto differs = std::mismatch(got.begin(), got.end(), expected.begin(), expected.end());
    if (differs.first == got.end() && differs.second == expected.end()) return absl::OkStatus();
    return Failed(check, absl::StrCat(Who(), " has ", differs.first == got.end() ? "nothing" : Text(*differs.first),
                                      " where the log has ",
                                      differs.second == expected.end() ? "nothing" : Text(*differs.second)));
  }

  static void KeepLatest(const reference::Fact& fact, Decisions* decisions) {
    if (fact.item_id.empty() || !IsLongTerm(fact.kind)) return;
    const auto [known, first] = decisions->try_emplace({fact.item_id, fact.kind}, fact);
    if (!first && known->second.when < fact.when) known->second = fact;
    known->second.session_id.clear();   // Of the short term.
  }

  // The state that the replica would merge: the snapshot's, and over it what is live from W on.
  absl::StatusOr<Decisions> DecisionsOfReplica() const {
    UserHistory history;
    std::vector<std::string> names;
    if (context_.snapshot != nullptr) {
      v1::SnapshotUser stored;
      const absl::Status found = context_.snapshot->reader().FindUser(user_, &stored);
      if (!found.ok() && !absl::IsNotFound(found)) return found;
      if (found.ok()) TRIBUTARY_RETURN_IF_ERROR(history.Assign(stored.profile()));
      for (uint32_t i = 0; i < context_.snapshot->reader().item_count(); ++i) {
        names.emplace_back(context_.snapshot->catalogue().Id(ItemNumber{i}));
      }
    }
    UserHistory live;
    for (const auto& [p, claim] : claims_) {
      if (claim.view == nullptr) continue;
      for (const Fact& fact : claim.view->facts) {
        if (Value(fact.offset) < claim.watermark || (fact.item_id.empty() && fact.kind != v1::FORGET)) continue;
        const auto name = std::find(names.begin(), names.end(), fact.item_id);
        const auto number = static_cast<uint32_t>(name - names.begin());
        if (name == names.end()) names.push_back(fact.item_id);
        live.Apply(fact.kind, ItemNumber{number}, {fact.event_time_unix_ms, {PartitionId{p}, fact.offset}},
                   fact.value_micros);
      }
    }
    history.Combine(live);
    if (history.forgotten_until_unix_ms() != ForgottenUntil()) {
      return Failed("decisions", absl::StrCat(Who(), " was forgotten until another time"));
    }
    Decisions decisions;
    for (const Decision& decision : history.decisions()) {
      const std::string& item = names[Value(decision.item)];
      const Place place{Value(decision.key.position.partition), Value(decision.key.position.offset)};
      decisions[{item, decision.kind}] = {decision.kind, item, {decision.key.event_time_unix_ms, place},
                                          decision.value_micros, ""};
    }
    return decisions;
  }

  absl::Status CheckDecisions() const {
    TRIBUTARY_ASSIGN_OR_RETURN(Decisions got, DecisionsOfReplica());
    Decisions expected;
    for (const reference::Fact& fact : SeenFacts()) KeepLatest(fact, &expected);
    for (const auto& [key, fact] : expected) {
      const auto found = got.find(key);
      if (found == got.end()) return Failed("decisions", absl::StrCat(Who(), " lacks ", Text(fact)));
      if (found->second != fact) {
        return Failed("decisions", absl::StrCat(Who(), " has ", Text(found->second), " instead of ", Text(fact)));
      }
    }
    for (const auto& [key, fact] : got) {
      if (!expected.contains(key)) return Failed("decisions", absl::StrCat(Who(), " should not have ", Text(fact)));
    }
    return absl::OkStatus();
  }

  // The sessions that serving continues others by are those of the views that it has.
  absl::Status CheckSessions() const {
    const LiveSessionIndex* const index = process_.live.SessionsOf(context_).index;
    if (index == nullptr) return absl::OkStatus();   // Not made yet.
    std::vector<LiveSessionIndex::Session> expected;
    process_.live.ForEachUser([&](absl::string_view user_id, const serving::LiveUserViews& views) {
      const serving::UserInfo* const info = process_.context.FindUser(user_id);
      if (info != nullptr && info->consent == v1::CONSENT_NO_TRACKING) return;
      std::vector<LivePartition> partitions;
      serving::PartitionsOf(views, context_, &partitions);
      bool unknown_items = false;
      for (auto& session : serving::LiveSessionsOf(user_id, partitions, *context_.catalogue, context_.sessions().index(),
                                                   &unknown_items)) {
        expected.push_back(std::move(session));
      }
    });
    std::sort(expected.begin(), expected.end(), [](const auto& a, const auto& b) {
      return std::tie(a.time_unix_ms, a.user, a.id) < std::tie(b.time_unix_ms, b.user, b.id);
    });
    if (index->All() == expected) return absl::OkStatus();
    return Failed("sessions", absl::StrCat("generation=", Value(context_.generation()), " live=", index->All().size(),
                                           " expected=", expected.size()));
  }

  absl::Status CheckSuppressed(const v1::RecommendResponse& response) const {
    const MergePolicy& policy = replica_.policy();
    const auto seen = [this](const Place& place) { return Seen(place); };
    const int64_t always = std::numeric_limits<int64_t>::max();
    const std::set<std::string> bought =
        reference_.Bought(user_, always, now_ - policy.purchase_suppression_ms + 1, seen);
    const std::set<std::string> disliked =
        reference_.Disliked(user_, always, policy.dislike_rating_at_most_micros, seen);
    for (const v1::RecommendedItem& item : response.items()) {
      if (bought.contains(item.item_id())) {
        return Failed("suppressed", absl::StrCat(Who(), " bought ", item.item_id(), " and is recommended it"));
      }
      if (disliked.contains(item.item_id())) {
        return Failed("suppressed", absl::StrCat(Who(), " dislikes ", item.item_id(), " and is recommended it"));
      }
      // The catalogue may have changed since the replica read it, but not before.
      const auto from = versions_.begin() + static_cast<ptrdiff_t>(replica_.catalogue_version());
      if (std::none_of(from, versions_.end(),
                       [&](const CatalogueVersion& v) { return v.Allows(item.item_id(), user_, now_); })) {
        return Failed("suppressed", absl::StrCat(Who(), " is recommended what must not be shown: ", item.item_id()));
      }
    }
    return absl::OkStatus();
  }

  // An item is damped, and says so, by as many impressions as came after everything else that the user did with it.
  absl::Status CheckFatigue(const v1::RecommendResponse& response) const {
    const MergePolicy::Fatigue& policy = replica_.policy().fatigue;
    std::map<std::string, int64_t> acted;
    for (const reference::Fact& fact : SeenFacts()) {
      if (!IsLongTerm(fact.kind)) continue;
      const auto [latest, first] = acted.try_emplace(fact.item_id, fact.when.event_time_unix_ms);
      latest->second = std::max(latest->second, fact.when.event_time_unix_ms);
    }
    const int64_t forgotten = ForgottenUntil().value_or(std::numeric_limits<int64_t>::min());
    std::map<std::string, int> shown;
    for (const auto& [p, claim] : claims_) {
      if (claim.view == nullptr) continue;
      for (const Fact& fact : claim.view->impressions) {   // Compared before.
        const int64_t time = fact.event_time_unix_ms;
        const auto latest = acted.find(fact.item_id);
        if (time <= forgotten || now_ - time >= policy.window_ms) continue;
        if (latest == acted.end() || time > latest->second) ++shown[fact.item_id];
      }
    }
    for (const v1::RecommendedItem& item : response.items()) {
      int said = 0;
      for (const v1::Reason& reason : item.reasons()) said += reason.fatigue().impressions();
      const int expected = shown[item.item_id()] >= policy.impressions ? shown[item.item_id()] : 0;
      if (said != expected) {
        return Failed("fatigue", absl::StrCat(Who(), " ", item.item_id(), " is damped by ", said, " impressions, not by ",
                                              expected));
      }
    }
    return absl::OkStatus();
  }

  // The same request to Merge, with the reference's facts in place of what was stored and sent about.
  absl::Status CheckMerge(const v1::RecommendRequest& request, const v1::RecommendResponse& response) const {
    const Catalogue& catalogue = *context_.catalogue;
    MergeInput input{.catalogue = &catalogue,
                     .rules = context_.rules.get(),
                     .views = process_.popularity.Of(context_) != nullptr
                                  ? static_cast<const CandidateViews*>(process_.popularity.Of(context_))
                                  : context_.snapshot.get(),
                     .sessions = &context_.sessions(),
                     .trending = process_.trends.Resolved(context_),
                     .live_sessions = process_.live.SessionsOf(context_).index,
                     .policy = &replica_.policy(),
                     .now_unix_ms = now_,
                     .limit = request.limit(),
                     .exclude_seen = request.exclude_seen()};
    input.weights = context_.snapshot != nullptr
                        ? context_.snapshot->weights()
                        : ResolveWeights(v1::SnapshotManifest::default_instance(), replica_.policy());
    if (const serving::UserInfo* info = process_.context.FindUser(user_); info != nullptr) {
      input.segment = info->segment;
    }

    const auto in_snapshot = [this](const Place& place) { return InSnapshot(place); };
    UserHistory history;
    if (const auto until = reference_.ForgottenUntil(user_, in_snapshot)) {
      history.Apply(v1::FORGET, ItemNumber{}, {*until, {}}, 0);
    }
    Decisions decisions;
    for (const reference::Fact& fact : reference_.Facts(user_, in_snapshot)) KeepLatest(fact, &decisions);
    for (const auto& [key, fact] : decisions) {
      const std::optional<ItemNumber> item = catalogue.Find(fact.item_id);
      if (!item) return Failed("answer", absl::StrCat(Who(), " did something with an item that nobody knows"));
      history.Apply(fact.kind, *item,
                    {fact.when.event_time_unix_ms, {PartitionId{fact.when.place.partition}, Offset{fact.when.place.offset}}},
                    fact.value_micros);
    }
    input.history = &history;
    std::vector<ScoredItem> personal;
    v1::SnapshotUser stored;
    if (context_.snapshot != nullptr && context_.snapshot->reader().FindUser(user_, &stored).ok()) {
      for (int i = 0; i < stored.list().items_size(); ++i) {
        personal.push_back({ItemNumber{stored.list().items(i)}, stored.list().scores(i)});
      }
    }
    input.personal = personal;
    input.newcomer = personal.empty();

    const std::optional<int64_t> forgotten = ForgottenUntil();
    std::map<int32_t, std::vector<Fact>> facts;
    for (const reference::Fact& fact : SeenFacts()) {
      if (!AboveFloor(fact.when.place)) continue;
      facts[fact.when.place.partition].push_back({.kind = fact.kind,
                                                  .item_id = fact.item_id,
                                                  .event_time_unix_ms = fact.when.event_time_unix_ms,
                                                  .offset = Offset{fact.when.place.offset},
                                                  .value_micros = fact.value_micros,
                                                  .session_id = fact.session_id});
    }
    std::vector<LivePartition> live;
    for (const auto& [p, claim] : claims_) {
      LivePartition& partition = live.emplace_back();
      partition = {.partition = PartitionId{p}, .watermark = Offset{claim.watermark}, .floor = Offset{claim.floor}};
      partition.facts = facts[p];
      // Below the floor lies what fades: the last 64 facts of 24 h, which is not part of the promise.
      if (claim.view == nullptr) continue;
      partition.recent = claim.view->recent;
      partition.impressions = claim.view->impressions;   // Compared before.
    }
    const UserHistory stored_history = history;
    if (forgotten) {
      // A FORGET is a fact like others, but the reference leaves out what it hides, itself too.
      history.Apply(v1::FORGET, ItemNumber{}, {*forgotten, {}}, 0);
    }
    input.live = live;
    std::vector<ScoredItem> folded;
    const serving::UserInfo* const user_info = process_.context.FindUser(user_);
    const bool tracked = user_info == nullptr || user_info->consent != v1::CONSENT_NO_TRACKING;
    if (context_.snapshot != nullptr && context_.snapshot->fold_in() != nullptr && tracked) {
      UserHistory with_live = history;
      std::vector<LiveFact> live_facts;
      TRIBUTARY_RETURN_IF_ERROR(ReadLiveFacts(live, catalogue, &with_live, &live_facts));
      serving::FoldIn::Scratch scratch;
      if (context_.snapshot->fold_in()->Seen(stored_history, with_live, personal, &scratch)) {
        folded = context_.snapshot->fold_in()->List(personal, &scratch);
        input.personal = folded;
      }
    }
    input.user_key = serving::LiveSessionUser(user_);
    MergeScratch scratch;
    MergeResult result;
    TRIBUTARY_RETURN_IF_ERROR(Merge(input, &scratch, &result));
    std::vector<std::pair<std::string, float>> expected;
    for (const MergedItem& item : result.items) expected.emplace_back(catalogue.Id(item.item), item.score);
    std::vector<std::pair<std::string, float>> got;
    for (const v1::RecommendedItem& item : response.items()) got.emplace_back(item.item_id(), item.score());
    if (got == expected) return absl::OkStatus();
    std::string what = absl::StrCat(Who(), " got");
    for (const auto& [item, score] : got) absl::StrAppend(&what, " ", item, "=", score);
    absl::StrAppend(&what, " expected");
    for (const auto& [item, score] : expected) absl::StrAppend(&what, " ", item, "=", score);
    return Failed("answer", what);
  }

  const reference::Reference& reference_;
  const std::vector<CatalogueVersion>& versions_;
  const Replica& replica_;
  const Replica::Process& process_;
  const std::string user_;
  EpochGuard guard_;
  const serving::ServingContext& context_;
  const int64_t now_;
  std::map<int32_t, PartitionClaim> claims_;
  int64_t imports_ = 0;
  bool below_floor_ = false;
};

}  // namespace

absl::Status Checker::CheckAnswer(const Replica& replica, const std::string& user, int64_t variant) const {
  ++answers_;
  return AnswerCheck(truth_.reference(), truth_.versions(), replica, user).Run(variant);
}

}  // namespace tributary::simulation
