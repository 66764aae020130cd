#include "batch_layer/learning/live_weights.h"

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <utility>

#include "batch_layer/learning/learn.h"
#include "batch_layer/models/blend.h"
#include "batch_layer/models/parallel.h"
#include "common/ials/fold_in.h"
#include "common/merge/mixed_list.h"
#include "common/status/status_macros.h"

namespace tributary::batch {
namespace {

constexpr size_t kPlaces = 20;
constexpr size_t kUsersPerBlock = 16;
constexpr size_t kMostSessions = 200'000;    // The newest: weights do not want them all.
constexpr size_t kMostFacts = 64;            // The latest of a user.
// The first of equally good ones is taken. Sessions always count a little: where they say nothing of users they may say
// much of newcomers.
constexpr double kShares[] = {0, 0.25, 0.5, 0.75, 1};
constexpr double kSessionWeights[] = {0.125, 0.25, 0.5, 1, 2, 4, 8};
constexpr double kNewcomerWeights[] = {0, 0.125, 0.25, 0.5, 1, 2, 4, 8};   // Times the weight of sessions.

// One user at one moment.
struct Case {
  std::vector<uint32_t> own;          // In the snapshot, ascending.
  std::vector<ScoredItem> stored;
  std::vector<ScoredItem> folded;
  std::vector<Fact> facts;
  std::vector<uint32_t> asked;        // What comes next, ascending.
};

std::vector<uint32_t> ItemsOf(absl::Span<const Observation> observations) {
  std::vector<uint32_t> items;
  for (const Observation& observation : observations) {
    items.push_back(observation.interaction.item);
  }
  std::sort(items.begin(), items.end());
  return items;
}

std::vector<ScoredItem> Fold(const IalsFoldIn& fold_in, absl::Span<const Observation> observations, size_t length,
                             IalsFoldIn::Scratch* scratch) {
  std::vector<std::pair<uint32_t, float>> known;
  for (const Observation& observation : observations) {
    known.emplace_back(observation.interaction.item, observation.interaction.weight);
  }
  std::sort(known.begin(), known.end());
  std::vector<uint32_t> columns;
  std::vector<float> weights;
  for (const auto& [column, weight] : known) {
    columns.push_back(column);
    weights.push_back(weight);
  }
  return fold_in.List(columns, weights, length, /*exclude_own=*/false, scratch);
}

// As views, the last of them a second before `now`: which kinds they were says little, and the models' weights have it.
std::vector<Fact> FactsOf(absl::Span<const Observation> observations, const ServingWorld& world) {
  std::vector<Fact> facts;
  for (const Observation& observation : observations.subspan(observations.size() - std::min(observations.size(), kMostFacts))) {
    Fact& fact = facts.emplace_back();
    fact.kind = v1::VIEW;
    fact.item_id = std::string(world.catalogue->Id(ItemNumber{observation.interaction.item}));
    fact.event_time_unix_ms =
        world.now_unix_ms - 1000 - (observations.back().time_unix_ms - observation.time_unix_ms);
    fact.offset = Offset{static_cast<int64_t>(facts.size()) - 1};
  }
  return facts;
}

// What is known of sessions without those in which something that is held out was done.
SessionIndexArrays KnownSessions(const ValidationSlice& slice, uint32_t items, const v1::BatchConfig& config,
                                 const ServingWorld& world) {
  std::map<uint32_t, int64_t> held_out_from;
  for (size_t i = 0; i < slice.rows.size(); ++i) {
    const std::vector<Observation>& in_order = slice.in_order[i];
    held_out_from[slice.rows[i]] = in_order[in_order.size() - slice.held_out[i].size()].time_unix_ms;
  }
  std::vector<std::pair<int64_t, size_t>> known;   // Time, place.
  for (size_t s = 0; s < world.sessions.size(); ++s) {
    const auto from = held_out_from.find(world.sessions[s].user);
    if (from == held_out_from.end() || world.sessions[s].time_unix_ms < from->second) {
      known.emplace_back(world.sessions[s].time_unix_ms, s);
    }
  }
  if (known.size() > kMostSessions) {
    std::nth_element(known.begin(), known.end() - kMostSessions, known.end());
    known.erase(known.begin(), known.end() - kMostSessions);
  }
  std::sort(known.begin(), known.end());
  std::vector<PastSession> sessions;
  sessions.reserve(known.size());
  for (const auto& [time, place] : known) {
    sessions.push_back(world.sessions[place]);
  }
  return SessionIndexArrays::Build(std::move(sessions), items, static_cast<size_t>(config.sessions_per_item()));
}

class Chooser {
 public:
  Chooser(const Learned& learned, const SessionNeighbours& sessions, const v1::BatchConfig& config,
          const ServingWorld& world)
      : learned_(learned),
        sessions_(sessions),
        item_users_(learned.matrix.ItemUsers()),
        list_length_(static_cast<size_t>(config.list_length())) {
    for (int t = 0; t < config.threads(); ++t) {
      served_.push_back(std::make_unique<ServedLists>(world, item_users_));
    }
  }

  // What serving shows each of them, measured.
  absl::StatusOr<RankingMetrics> Measure(const std::vector<Case>& cases, const SourceWeights& weights, double share,
                                         bool newcomers) {
    std::vector<std::vector<ScoredItem>> lists(cases.size());
    std::vector<absl::Status> errors(cases.size());
    ForEachBlock(cases.size(), kUsersPerBlock, static_cast<int>(served_.size()), [&](size_t begin, size_t end, int worker) {
      for (size_t i = begin; i < end; ++i) {
        const Case& one = cases[i];
        absl::StatusOr<std::vector<ScoredItem>> list = served_[static_cast<size_t>(worker)]->Serve(
            MixedList(one.stored, one.folded, share, list_length_), one.own,
            LiveRequest{.facts = one.facts, .sessions = &sessions_, .weights = weights, .newcomer = newcomers}, kPlaces);
        errors[i] = list.status();
        if (list.ok()) {
          lists[i] = *std::move(list);
        }
      }
    });
    RankingEvaluation evaluation(kPlaces, item_users_, learned_.matrix.rows());
    for (size_t i = 0; i < cases.size(); ++i) {
      TRIBUTARY_RETURN_IF_ERROR(errors[i]);
      evaluation.Add(lists[i], cases[i].asked);
    }
    return evaluation.Means();
  }

 private:
  const Learned& learned_;
  const SessionNeighbours& sessions_;
  const std::vector<uint32_t> item_users_;
  const size_t list_length_;
  std::vector<std::unique_ptr<ServedLists>> served_;   // By thread.
};

// Takes the best of `values` for `*value`, as `measure` says; answers what it measured there.
template <typename Values, typename Measure>
absl::StatusOr<RankingMetrics> TakeBest(const Values& values, double factor, double* value, const Measure& measure) {
  RankingMetrics best;
  double best_value = 0;
  bool any = false;
  for (const double tried : values) {
    *value = tried * factor;
    TRIBUTARY_ASSIGN_OR_RETURN(const RankingMetrics metrics, measure());
    if (!any || metrics.ndcg > best.ndcg) {
      best = metrics;
      best_value = *value;
      any = true;
    }
  }
  *value = best_value;
  return best;
}

}  // namespace

absl::StatusOr<LiveWeights> ChooseLiveWeights(const ValidationSlice& slice, const Learned& learned, const v1::BatchConfig& config,
                                              const ServingWorld& world) {
  const auto most = static_cast<size_t>(config.blend().live_users());
  const auto list_length = static_cast<size_t>(config.list_length());
  const IalsFoldIn fold_in(FactorsView(learned.ials.items), learned.ials.item_eigenvalues, IalsOptionsOf(config).loss);
  const Blend blend(learned.matrix, learned.ials, learned.item_item);
  IalsFoldIn::Scratch scratch;
  std::vector<Case> users, newcomers;
  std::vector<uint32_t> rows;
  for (size_t i = 0; i < slice.rows.size(); ++i) {
    const absl::Span<const Observation> in_order = slice.in_order[i];
    const absl::Span<const Observation> before = in_order.first(in_order.size() - slice.held_out[i].size());
    const absl::Span<const Observation> held_out = in_order.subspan(before.size());
    if (newcomers.size() < most) {
      newcomers.push_back({.own = {},
                           .stored = {},
                           .folded = Fold(fold_in, before, list_length, &scratch),
                           .facts = FactsOf(before, world),
                           .asked = slice.held_out[i]});
    }
    if (users.size() < most && held_out.size() > 1) {
      const absl::Span<const Observation> now = held_out.first(held_out.size() / 2);
      rows.push_back(slice.rows[i]);
      users.push_back({.own = ItemsOf(before),
                       .stored = {},
                       .folded = Fold(fold_in, in_order.first(before.size() + now.size()), list_length, &scratch),
                       .facts = FactsOf(now, world),
                       .asked = ItemsOf(held_out.subspan(now.size()))});
    }
  }
  std::vector<std::vector<ScoredItem>> stored =
      blend.TopN(rows, static_cast<float>(learned.ials_weight), list_length, /*exclude_own=*/false, config.threads());
  for (size_t i = 0; i < users.size(); ++i) {
    users[i].stored = std::move(stored[i]);
  }

  const SessionIndexArrays arrays = KnownSessions(slice, learned.matrix.items(), config, world);
  const SessionNeighbours sessions(arrays.index(), world.policy->session_neighbours);
  Chooser chooser(learned, sessions, config, world);
  SourceWeights weights = ResolveWeights(v1::SnapshotManifest::default_instance(), *world.policy);
  weights.personal = 1;
  LiveWeights chosen{.session = weights.session, .folded_share = 1, .newcomer = weights.newcomer};
  if (users.size() >= kLeastLiveUsers) {
    const auto measure = [&] { return chooser.Measure(users, weights, chosen.folded_share, /*newcomers=*/false); };
    TRIBUTARY_RETURN_IF_ERROR(TakeBest(kShares, 1, &chosen.folded_share, measure).status());
    TRIBUTARY_RETURN_IF_ERROR(TakeBest(kSessionWeights, 1, &weights.session, measure).status());
    TRIBUTARY_ASSIGN_OR_RETURN(chosen.users, TakeBest(kShares, 1, &chosen.folded_share, measure));
    chosen.session = weights.session;
  }
  if (newcomers.size() >= kLeastLiveUsers) {
    const auto measure = [&] { return chooser.Measure(newcomers, weights, 1, /*newcomers=*/true); };
    TRIBUTARY_ASSIGN_OR_RETURN(chosen.newcomers, TakeBest(kNewcomerWeights, weights.session, &weights.newcomer, measure));
    chosen.newcomer = weights.newcomer;
  }
  return chosen;
}

}  // namespace tributary::batch
