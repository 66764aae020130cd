#include "batch_layer/pipeline/views.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "batch_layer/models/item_neighbours.h"
#include "batch_layer/models/parallel.h"
#include "batch_layer/models/popularity.h"
#include "batch_layer/models/top_n.h"
#include "batch_layer/pipeline/interactions.h"
#include "common/status/status_macros.h"

namespace tributary::batch {
namespace {

constexpr size_t kUsersPerBlock = 256;
constexpr uint32_t kUsersPerSlice = 64 * 128;     // Lists in memory at a time; a multiple of 64, as ScoreTopN wants.

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

IalsOptions OptionsOf(const v1::BatchConfig& config) {
  IalsOptions options;
  options.dimensions = config.ials().dimensions();
  options.epochs = config.ials().epochs();
  options.loss.unobserved_weight = static_cast<float>(config.ials().unobserved_weight());
  options.loss.regularization = static_cast<float>(config.ials().regularization());
  options.loss.regularization_exponent = static_cast<float>(config.ials().regularization_exponent());
  options.seed = config.seed();
  options.threads = config.threads();
  return options;
}

v1::ScoredItems ToProto(const std::vector<ScoredItem>& list) {
  v1::ScoredItems message;
  for (const ScoredItem& scored : list) {
    message.add_items(Value(scored.item));
    message.add_scores(scored.score);
  }
  return message;
}

absl::Status WriteUsers(const Dataset& dataset, const Views& views, const v1::BatchConfig& config, SnapshotWriter& writer) {
  TopNOptions options;
  options.n = static_cast<size_t>(config.list_length());
  options.threads = config.threads();
  const uint32_t learned = static_cast<uint32_t>(views.learned.size());
  std::vector<std::vector<ScoredItem>> lists;      // Of the slice that begins at `slice`.
  uint32_t slice = 0, row = 0;
  for (size_t user = 0; user < dataset.users.size(); ++user) {
    v1::SnapshotUser message;
    if (row < learned && views.learned[row] == user) {
      if (row % kUsersPerSlice == 0) {
        slice = row;
        lists = ScoreTopN(views.factors.users, row, std::min(learned, row + kUsersPerSlice), views.factors.items, options);
      }
      *message.mutable_list() = ToProto(lists[row - slice]);
      ++row;
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
  std::vector<std::vector<Interaction>> of_user(users);
  std::atomic<int64_t> sessions = 0;
  ForEachBlock(users, kUsersPerBlock, batch.threads(), [&](size_t begin, size_t end, int) {
    for (size_t user = begin; user < end; ++user) {
      const absl::Span<const DenseEvent> events = dataset.EventsOf(user);
      views.profiles[user] = FoldUser(events, /*with_anonymous=*/true);
      sessions += CountSessions(events);
      if (refused[user]) {
        continue;
      }
      const bool any_anonymous = std::any_of(events.begin(), events.end(), [](const DenseEvent& e) { return e.anonymous; });
      const UserHistory known = any_anonymous ? FoldUser(events, /*with_anonymous=*/false) : UserHistory();
      AppendInteractions(any_anonymous ? known : views.profiles[user], 0, weights, config.merge().dislike_rating_at_most(),
                         &of_user[user]);
    }
  });
  views.sessions = sessions;

  std::vector<Interaction> interactions;
  for (size_t user = 0; user < users; ++user) {
    if (!of_user[user].empty()) {
      for (Interaction& interaction : of_user[user]) {
        interaction.row = static_cast<uint32_t>(views.learned.size());
        interactions.push_back(interaction);
      }
      views.learned.push_back(static_cast<uint32_t>(user));
      std::vector<Interaction>().swap(of_user[user]);
    }
  }
  views.neighbours.resize(dataset.items.size());
  if (!interactions.empty()) {
    TRIBUTARY_ASSIGN_OR_RETURN(const InteractionMatrix matrix,
                               InteractionMatrix::Create(static_cast<uint32_t>(views.learned.size()),
                                                         static_cast<uint32_t>(dataset.items.size()), std::move(interactions)));
    TRIBUTARY_ASSIGN_OR_RETURN(views.factors, TrainIals(matrix, OptionsOf(batch)));
    NeighbourOptions options;
    options.k = static_cast<size_t>(batch.neighbours());
    options.threads = batch.threads();
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
