#include "batch_layer/pipeline/views.h"

#include <algorithm>
#include <atomic>
#include <numeric>
#include <utility>

#include "batch_layer/models/blend.h"
#include "batch_layer/models/item_neighbours.h"
#include "batch_layer/models/parallel.h"
#include "batch_layer/models/popularity.h"
#include "batch_layer/pipeline/interactions.h"
#include "common/status/status_macros.h"

namespace tributary::batch {
namespace {

constexpr size_t kUsersPerBlock = 256;
constexpr uint32_t kUsersPerSlice = 8192;         // Lists in memory at a time.

std::vector<bool> Refused(const Dataset& dataset, const RunCatalogue& catalogue) {
  std::vector<bool> refused(dataset.users.size());
  for (size_t user = 0; user < dataset.users.size(); ++user) {
    const auto record = catalogue.users.find(dataset.users[user]);
    refused[user] = record != catalogue.users.end() && record->second.consent() == v1::CONSENT_NO_TRACKING;
  }
  return refused;
}

std::map<std::string, std::vector<ScoredItem>> ComputePopularity(const Dataset& dataset, const RunCatalogue& catalogue,
                                                                 const std::vector<bool>& refused,
                                                                 const v1::BatchConfig& config) {
  PopularityOptions options;
  options.weights = WeightsOf(config);
  options.half_life = absl::Hours(24) * config.popularity_half_life_days();
  options.reference = absl::FromUnixMillis(dataset.last_event_time_unix_ms);
  Popularity popularity(static_cast<uint32_t>(dataset.items.size()), options);
  for (const DenseEvent& event : dataset.events) {
    if (event.item != kNoItem && !refused[event.user] &&
        catalogue.deleted_items.count(dataset.items[event.item].item_id()) == 0) {
      popularity.Add(event.kind, ItemNumber{event.item}, absl::FromUnixMillis(event.key.event_time_unix_ms));
    }
  }
  const size_t length = static_cast<size_t>(config.popular_length());
  std::map<std::string, std::vector<ScoredItem>> popular;
  popular[std::string(kPopularOverall)] = popularity.Top(length);
  for (auto& [category, items] : popularity.TopByCategory(length, [&dataset](ItemNumber item) {
         const auto& categories = dataset.items[Value(item)].categories();
         return std::vector<std::string>(categories.begin(), categories.end());
       })) {
    popular[PopularCategoryScope(category)] = items;
  }
  return popular;
}

v1::ScoredItems ToProto(const std::vector<ScoredItem>& list) {
  v1::ScoredItems message;
  for (const ScoredItem& scored : list) {
    message.add_items(Value(scored.item));
    message.add_scores(scored.score);
  }
  return message;
}

// Lists of the users that were learned from, a slice at a time.
class UserLists {
 public:
  UserLists(const Learned& learned, size_t list_length, int threads)
      : learned_(learned),
        blend_(learned.matrix, learned.ials, learned.item_item),
        list_length_(list_length),
        threads_(threads) {}

  // Of the rows 0, 1, 2 ... in turn.
  std::vector<ScoredItem> Next() {
    if (next_ == lists_.size()) {
      std::vector<uint32_t> rows(std::min(kUsersPerSlice, learned_.matrix.rows() - done_));
      std::iota(rows.begin(), rows.end(), done_);
      lists_ = blend_.TopN(rows, static_cast<float>(learned_.ials_weight), list_length_, /*exclude_own=*/false, threads_);
      done_ += static_cast<uint32_t>(rows.size());
      next_ = 0;
    }
    return std::move(lists_[next_++]);
  }

 private:
  const Learned& learned_;
  const Blend blend_;
  const size_t list_length_;
  const int threads_;
  std::vector<std::vector<ScoredItem>> lists_;
  size_t next_ = 0;
  uint32_t done_ = 0;
};

absl::Status WriteUsers(const Dataset& dataset, const Views& views, const v1::BatchConfig& config, SnapshotWriter& writer) {
  std::optional<UserLists> lists;
  if (views.learned.has_value()) {
    lists.emplace(*views.learned, static_cast<size_t>(config.list_length()), config.threads());
  }
  for (const auto& [digest, until] : dataset.forgotten) {
    TRIBUTARY_RETURN_IF_ERROR(writer.PutForgottenUser(digest, until));
  }
  auto learned_user = views.learned_users.begin();
  for (size_t user = 0; user < dataset.users.size(); ++user) {
    v1::SnapshotUser message;
    if (learned_user != views.learned_users.end() && *learned_user == user) {
      *message.mutable_list() = ToProto(lists->Next());
      ++learned_user;
    }
    if (!views.profiles[user].empty()) {
      views.profiles[user].ToProto(message.mutable_profile());
    }
    if (message.has_list() || message.has_profile()) {
      TRIBUTARY_RETURN_IF_ERROR(writer.PutUser(dataset.users[user], message));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Views> ComputeViews(const Dataset& dataset, const RunCatalogue& catalogue, const v1::Config& config) {
  const v1::BatchConfig& batch = config.batch();
  const std::vector<bool> refused = Refused(dataset, catalogue);
  const KindWeights weights = WeightsOf(batch);
  const size_t users = dataset.users.size();

  Views views;
  views.profiles.resize(users);
  std::vector<std::vector<Observation>> of_user(users);
  std::atomic<int64_t> sessions = 0;
  ForEachBlock(users, kUsersPerBlock, batch.threads(), [&](size_t begin, size_t end, int) {
    for (size_t user = begin; user < end; ++user) {
      const absl::Span<const DenseEvent> events = dataset.EventsOf(user);
      views.profiles[user] = FoldUser(events, dataset.forgotten_until[user], /*with_anonymous=*/true);
      sessions += CountSessions(events);
      if (refused[user]) {
        continue;
      }
      const bool any_anonymous = std::any_of(events.begin(), events.end(), [](const DenseEvent& e) { return e.anonymous; });
      const UserHistory known = any_anonymous ? FoldUser(events, dataset.forgotten_until[user], /*with_anonymous=*/false) : UserHistory();
      AppendObservations(any_anonymous ? known : views.profiles[user], 0, weights, config.merge().dislike_rating_at_most(),
                         &of_user[user]);
    }
  });
  views.sessions = sessions;

  std::vector<Observation> observations;
  for (size_t user = 0; user < users; ++user) {
    if (!of_user[user].empty()) {
      for (Observation& observation : of_user[user]) {
        observation.interaction.row = static_cast<uint32_t>(views.learned_users.size());
        observations.push_back(observation);
      }
      views.learned_users.push_back(static_cast<uint32_t>(user));
      std::vector<Observation>().swap(of_user[user]);
    }
  }
  views.neighbours.resize(dataset.items.size());
  if (!observations.empty()) {
    TRIBUTARY_ASSIGN_OR_RETURN(views.learned, Learn(observations, static_cast<uint32_t>(views.learned_users.size()),
                                                    static_cast<uint32_t>(dataset.items.size()), batch));
    NeighbourOptions options;
    options.k = static_cast<size_t>(batch.neighbours());
    options.threads = batch.threads();
    const InteractionMatrix& matrix = views.learned->matrix;
    views.neighbours = ItemNeighbours(matrix, options).Compute(0, matrix.items());
  }
  views.popular = ComputePopularity(dataset, catalogue, refused, batch);
  return views;
}

absl::Status WriteViews(const Dataset& dataset, const Views& views, const v1::Config& config,
                        const std::map<PartitionId, Offset>& watermarks, SnapshotWriter& writer) {
  TRIBUTARY_RETURN_IF_ERROR(writer.WriteItems(dataset.items));
  TRIBUTARY_RETURN_IF_ERROR(WriteUsers(dataset, views, config.batch(), writer));
  TRIBUTARY_RETURN_IF_ERROR(writer.WriteNeighbours(views.neighbours));
  for (const auto& [scope, items] : views.popular) {
    TRIBUTARY_RETURN_IF_ERROR(writer.PutPopular(scope, ToProto(items)));
  }
  for (const auto& [key, amounts] : dataset.totals) {
    v1::CountTotal total;
    total.set_events(amounts.events);
    total.set_quantity_micros(amounts.quantity_micros);
    total.set_value_micros(amounts.value_micros);
    TRIBUTARY_RETURN_IF_ERROR(writer.PutCount(key, total));
  }
  for (const auto& [partition, counts] : dataset.cut_counts) {
    const Offset watermark = watermarks.at(partition);
    v1::LiveCounts message;
    counts.ToProto(&message);
    message.mutable_position()->set_applied_offset(Value(watermark));
    message.set_segment_start(Value(SegmentStart(watermark, config.kafka().segment_size())));
    TRIBUTARY_RETURN_IF_ERROR(writer.PutCutCounts(partition, message));
  }
  return absl::OkStatus();
}

}  // namespace tributary::batch
