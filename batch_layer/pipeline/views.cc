#include "batch_layer/pipeline/views.h"

#include <malloc.h>
#include <xxhash.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <limits>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "batch_layer/models/blend.h"
#include "batch_layer/models/content.h"
#include "batch_layer/models/item_neighbours.h"
#include "batch_layer/models/parallel.h"
#include "batch_layer/models/popularity.h"
#include "batch_layer/models/top_n.h"
#include "batch_layer/pipeline/interactions.h"
#include "batch_layer/pipeline/memory.h"
#include "batch_layer/pipeline/past_sessions.h"
#include "common/status/status_macros.h"

namespace tributary::batch {
namespace {

constexpr size_t kUsersPerBlock = 64;
constexpr uint32_t kUsersPerSlice = 8192;         // Lists in memory at a time.
constexpr size_t kEventsPerStep = 2 << 20;        // Their profiles and observations in pieces of their own at a time.
constexpr int64_t kDayMs = 24LL * 3600 * 1000;

std::vector<bool> Refused(const Dataset& dataset, const RunCatalogue& catalogue) {
  std::vector<bool> refused(dataset.users.size());
  for (size_t user = 0; user < dataset.users.size(); ++user) {
    const auto record = catalogue.users.find(dataset.users[user]);
    refused[user] = record != catalogue.users.end() && record->second.consent() == v1::CONSENT_NO_TRACKING;
  }
  return refused;
}

// The segments that get popularity lists: those with the most users who did not refuse, ties by name.
constexpr size_t kMostSegments = 256;
constexpr uint32_t kNoSegment = std::numeric_limits<uint32_t>::max();

struct Segments {
  std::vector<std::string> names;   // By number.
  std::vector<uint32_t> of_user;    // kNoSegment: none that gets a list.
};

Segments SegmentsOf(const Dataset& dataset, const RunCatalogue& catalogue, const std::vector<bool>& refused) {
  std::map<std::string, std::vector<uint32_t>> users;
  for (uint32_t user = 0; user < dataset.users.size(); ++user) {
    const auto record = catalogue.users.find(dataset.users[user]);
    if (record != catalogue.users.end() && !record->second.segment().empty() && !refused[user]) {
      users[record->second.segment()].push_back(user);
    }
  }
  std::vector<decltype(users)::const_iterator> largest;
  for (auto segment = users.cbegin(); segment != users.cend(); ++segment) {
    largest.push_back(segment);
  }
  std::stable_sort(largest.begin(), largest.end(),
                   [](const auto& a, const auto& b) { return a->second.size() > b->second.size(); });
  largest.resize(std::min(largest.size(), kMostSegments));
  Segments segments;
  segments.of_user.assign(dataset.users.size(), kNoSegment);
  for (const auto& segment : largest) {
    for (const uint32_t user : segment->second) {
      segments.of_user[user] = static_cast<uint32_t>(segments.names.size());
    }
    segments.names.push_back(segment->first);
  }
  return segments;
}

std::vector<bool> Deleted(const Dataset& dataset, const RunCatalogue& catalogue) {
  std::vector<bool> deleted(dataset.items.size());
  for (size_t item = 0; item < dataset.items.size(); ++item) {
    deleted[item] = catalogue.deleted_items.count(dataset.items[item].item_id()) > 0;
  }
  return deleted;
}

bool InSample(const std::string& user_id, double share) {
  return share >= 1 || static_cast<double>(XXH64(user_id.data(), user_id.size(), 0)) < share * 0x1p64;
}

// Grows without moving what it has; then everything in one piece.
class Observations {
 public:
  void Append(absl::Span<const Observation> of_user, uint32_t row) {
    for (const Observation& observation : of_user) {
      if (chunks_.empty() || chunks_.back().size() == kChunk) {
        chunks_.emplace_back().reserve(kChunk);
      }
      chunks_.back().push_back(observation);
      chunks_.back().back().interaction.row = row;
      ++size_;
    }
  }
  size_t size() const { return size_; }
  std::vector<Observation> Take() && {
    std::vector<Observation> all;
    all.reserve(size_);
    for (std::vector<Observation>& chunk : chunks_) {
      all.insert(all.end(), chunk.begin(), chunk.end());
      std::vector<Observation>().swap(chunk);
    }
    return all;
  }

 private:
  static constexpr size_t kChunk = 256 * 1024;
  std::vector<std::vector<Observation>> chunks_;
  size_t size_ = 0;
};

// Goes through the events, a slice of users at a time, and makes of them what the models need.
class EventPass {
 public:
  EventPass(Dataset& dataset, const RunCatalogue& catalogue, const v1::Config& config, Views& views)
      : dataset_(dataset),
        batch_(config.batch()),
        dislike_rating_at_most_(config.merge().dislike_rating_at_most()),
        refused_(Refused(dataset, catalogue)),
        deleted_(Deleted(dataset, catalogue)),
        weights_(WeightsOf(config.batch())),
        since_unix_ms_(batch_.learn_from_days() == 0
                           ? std::numeric_limits<int64_t>::min()
                           : dataset.last_event_time_unix_ms - batch_.learn_from_days() * kDayMs),
        segments_(SegmentsOf(dataset, catalogue, refused_)),
        popularity_options_{.weights = weights_,
                            .half_life = absl::Hours(24) * batch_.popularity_half_life_days(),
                            .reference = absl::FromUnixMillis(dataset.last_event_time_unix_ms)},
        popularity_(static_cast<uint32_t>(dataset.items.size()), popularity_options_),
        segment_popularity_(popularity_options_),
        views_(views) {}

  absl::Status Run() {
    if (const SpillDirectory* directory = dataset_.events.directory(); directory != nullptr) {
      TRIBUTARY_ASSIGN_OR_RETURN(views_.profiles, StringSpool::Create(directory->path() + "/profiles"));
    }
    TRIBUTARY_RETURN_IF_ERROR(dataset_.events.ForEachSlice([this](const EventSlice& slice) { return Visit(slice); }));
    views_.sessions = sessions_;
    if (batch_.learn_from_days() != 0) {
      views_.learned_since_unix_ms = since_unix_ms_;
    }
    return absl::OkStatus();
  }

  Observations& observations() { return observations_; }
  std::vector<PastSession> TakeSessions() {
    KeepNewest(kMostSessions, &past_sessions_);
    return std::move(past_sessions_);
  }

  std::map<std::string, std::vector<ScoredItem>> Popular() const {
    const auto length = static_cast<size_t>(batch_.popular_length());
    std::map<std::string, std::vector<ScoredItem>> popular;
    popular[std::string(kPopularOverall)] = popularity_.Top(length);
    for (auto& [category, items] : popularity_.TopByCategory(length, [this](ItemNumber item) {
           const auto& categories = dataset_.items[Value(item)].categories();
           return std::vector<std::string>(categories.begin(), categories.end());
         })) {
      popular[PopularCategoryScope(category)] = items;
    }
    for (auto& [segment, items] : segment_popularity_.Top(length)) {
      popular[PopularSegmentScope(segments_.names[segment])] = items;
    }
    return popular;
  }

 private:
  absl::Status Visit(const EventSlice& slice) {
    // Results of some users at a time: a slice may have all of them.
    const uint32_t end = slice.first_user() + slice.users();
    for (uint32_t first = slice.first_user(), next = first; next < end; first = next) {
      for (size_t events = 0; next < end && events < kEventsPerStep; ++next) {
        events += slice.EventsOf(next).size();
      }
      TRIBUTARY_RETURN_IF_ERROR(VisitUsers(slice, first, next - first));
    }
    for (const DenseEvent& event : slice.events()) {
      if (event.item != kNoItem && !refused_[event.user] && !deleted_[event.item] && event.event_time_unix_ms >= since_unix_ms_) {
        const absl::Time time = absl::FromUnixMillis(event.event_time_unix_ms);
        popularity_.Add(event.type(), ItemNumber{event.item}, time);
        if (const uint32_t segment = segments_.of_user[event.user]; segment != kNoSegment) {
          segment_popularity_.Add(segment, event.type(), ItemNumber{event.item}, time);
        }
      }
    }
    return absl::OkStatus();
  }

  absl::Status VisitUsers(const EventSlice& slice, uint32_t first, uint32_t users) {
    std::vector<std::string> profiles(users);
    std::vector<std::vector<Observation>> observations(users);
    std::vector<std::vector<PastSession>> sessions(users);
    ForEachBlock(users, kUsersPerBlock, batch_.threads(), [&](size_t begin, size_t end, int) {
      for (size_t i = begin; i < end; ++i) {
        const uint32_t user = first + static_cast<uint32_t>(i);
        const absl::Span<const DenseEvent> events = slice.EventsOf(user);
        const UserHistory history = FoldUser(events, dataset_.forgotten_until[user], /*with_anonymous=*/true);
        if (!history.empty()) {
          v1::Profile profile;
          history.ToProto(&profile);
          profiles[i] = profile.SerializeAsString();
        }
        sessions_ += CountSessions(events);
        if (!refused_[user]) {
          sessions[i] = SessionsOf(events, weights_, SessionsFrom(user));
        }
        if (!refused_[user] && InSample(dataset_.users[user], batch_.learn_user_share())) {
          Observe(events, user, history, &observations[i]);
        }
      }
    });
    for (uint32_t i = 0; i < users; ++i) {
      TRIBUTARY_RETURN_IF_ERROR(views_.profiles.Append(profiles[i]));
      if (!observations[i].empty()) {
        for (PastSession& session : sessions[i]) {
          session.user = static_cast<uint32_t>(views_.learned_users.size());
        }
        observations_.Append(observations[i], static_cast<uint32_t>(views_.learned_users.size()));
        views_.learned_users.push_back(first + i);
      }
      std::move(sessions[i].begin(), sessions[i].end(), std::back_inserter(past_sessions_));
    }
    if (past_sessions_.size() >= 2 * kMostSessions) {
      KeepNewest(kMostSessions, &past_sessions_);
    }
    return absl::OkStatus();
  }

  // The first event time that counts for sessions.
  int64_t SessionsFrom(uint32_t user) const {
    const int64_t forgotten = dataset_.forgotten_until[user];
    return forgotten == ForgottenUsers::kNever ? since_unix_ms_ : std::max(since_unix_ms_, forgotten + 1);
  }

  void Observe(absl::Span<const DenseEvent> events, uint32_t user, const UserHistory& history,
               std::vector<Observation>* observations) const {
    const bool any_anonymous = std::any_of(events.begin(), events.end(), [](const DenseEvent& e) { return e.anonymous; });
    const UserHistory known =
        any_anonymous ? FoldUser(events, dataset_.forgotten_until[user], /*with_anonymous=*/false) : UserHistory();
    AppendObservations(any_anonymous ? known : history, 0, weights_, dislike_rating_at_most_, since_unix_ms_, observations);
  }

  Dataset& dataset_;
  const v1::BatchConfig& batch_;
  const double dislike_rating_at_most_;
  const std::vector<bool> refused_;
  const std::vector<bool> deleted_;
  const KindWeights weights_;
  const int64_t since_unix_ms_;
  const Segments segments_;
  const PopularityOptions popularity_options_;
  Popularity popularity_;
  SegmentPopularity segment_popularity_;
  Views& views_;
  std::atomic<int64_t> sessions_ = 0;
  Observations observations_;
  std::vector<PastSession> past_sessions_;
};

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

absl::Status WriteUsers(const Dataset& dataset, Views& views, const v1::BatchConfig& config, SnapshotWriter& writer) {
  std::optional<UserLists> lists;
  if (views.learned.has_value()) {
    lists.emplace(*views.learned, static_cast<size_t>(config.list_length()), config.threads());
  }
  for (const auto& [digest, until] : dataset.forgotten) {
    TRIBUTARY_RETURN_IF_ERROR(writer.PutForgottenUser(digest, until));
  }
  TRIBUTARY_RETURN_IF_ERROR(views.profiles.Rewind());
  std::string profile;
  auto learned_user = views.learned_users.begin();
  for (size_t user = 0; user < dataset.users.size(); ++user) {
    v1::SnapshotUser message;
    if (learned_user != views.learned_users.end() && *learned_user == user) {
      *message.mutable_list() = ToProto(lists->Next());
      ++learned_user;
    }
    TRIBUTARY_RETURN_IF_ERROR(views.profiles.Next(&profile));
    if (!profile.empty() && !message.mutable_profile()->ParseFromString(profile)) {
      return absl::InternalError(absl::StrCat("profile cannot be read back: user=", user));
    }
    if (message.has_list() || message.has_profile()) {
      TRIBUTARY_RETURN_IF_ERROR(writer.PutUser(dataset.users[user], message));
    }
  }
  return absl::OkStatus();
}

// Gives items that nobody touched a place in lists, by their categories and labels. Answers which.
std::vector<uint32_t> PlaceNewItems(const Dataset& dataset, const std::vector<bool>& deleted, double weight, Learned& learned) {
  std::map<std::pair<char, std::string>, uint32_t> numbers;
  std::vector<std::vector<uint32_t>> features(dataset.items.size());
  for (size_t item = 0; item < dataset.items.size(); ++item) {
    if (deleted[item]) {
      continue;
    }
    const auto add = [&](char kind, const std::string& name) {
      const uint32_t number = numbers.try_emplace({kind, name}, static_cast<uint32_t>(numbers.size())).first->second;
      if (std::find(features[item].begin(), features[item].end(), number) == features[item].end()) {
        features[item].push_back(number);
      }
    };
    for (const std::string& category : dataset.items[item].categories()) {
      add('c', category);
    }
    for (const std::string& label : dataset.items[item].labels()) {
      add('l', label);
    }
  }
  return FillNewItems(features, static_cast<uint32_t>(numbers.size()), learned.matrix.ItemUsers(),
                      static_cast<float>(weight), &learned.ials.items);
}

// Neighbours of items that nobody touched: those with the largest inner products with their factors. Of the first ones,
// where a catalogue has more of them than a few seconds are enough for.
void AddNeighboursOfNewItems(const std::vector<uint32_t>& new_items, const Factors& items, const v1::BatchConfig& config,
                             std::vector<std::vector<ScoredItem>>* neighbours) {
  constexpr double kMostProducts = 1e12;
  const double each = static_cast<double>(items.rows()) * items.dimensions();
  Factors rows(static_cast<uint32_t>(std::min(static_cast<double>(new_items.size()), kMostProducts / each)),
               items.dimensions());
  for (uint32_t row = 0; row < rows.rows(); ++row) {
    std::copy_n(items.row(new_items[row]).begin(), items.dimensions(), rows.row(row).begin());
  }
  const auto k = static_cast<size_t>(config.neighbours());
  std::vector<std::vector<ScoredItem>> lists =
      ScoreTopN(rows, 0, rows.rows(), items, {.n = k + 1, .threads = config.threads()});
  for (uint32_t row = 0; row < rows.rows(); ++row) {
    std::vector<ScoredItem>& list = lists[row];
    list.erase(std::remove_if(list.begin(), list.end(),
                              [&](const ScoredItem& scored) { return Value(scored.item) == new_items[row] || scored.score <= 0; }),
               list.end());
    list.resize(std::min(list.size(), k));
    (*neighbours)[new_items[row]] = std::move(list);
  }
}

absl::Status WriteFactors(const Learned& learned, const v1::BatchConfig& config, SnapshotWriter& writer) {
  const IalsLoss loss = IalsOptionsOf(config).loss;
  const Factors& items = learned.ials.items;
  SnapshotFactors factors;
  factors.items = items.rows();
  factors.dimensions = items.dimensions();
  factors.unobserved_weight = loss.unobserved_weight;
  factors.regularization = loss.regularization;
  factors.regularization_exponent = loss.regularization_exponent;
  factors.eigenvalues = learned.ials.item_eigenvalues;
  factors.values = absl::MakeConstSpan(items.data(), items.rows() * static_cast<size_t>(items.dimensions()));
  return writer.WriteFactors(factors);
}

}  // namespace

absl::StatusOr<Views> ComputeViews(Dataset& dataset, const RunCatalogue& catalogue, const v1::Config& config,
                                   const ServingWorld& world) {
  const v1::BatchConfig& batch = config.batch();
  Views views;
  EventPass pass(dataset, catalogue, config, views);
  TRIBUTARY_RETURN_IF_ERROR(pass.Run());
  views.popular = pass.Popular();
  std::vector<PastSession> sessions = pass.TakeSessions();
  const auto build_session_index = [&] {
    views.session_index = SessionIndexArrays::Build(std::move(sessions), static_cast<uint32_t>(dataset.items.size()),
                                                    static_cast<size_t>(batch.sessions_per_item()));
  };
  views.neighbours.resize(dataset.items.size());
  const size_t observed = pass.observations().size();
  if (observed == 0) {
    build_session_index();
    return views;
  }
  TRIBUTARY_RETURN_IF_ERROR(CheckLearningFits({.events = dataset.accepted_events,
                                               .users = static_cast<int64_t>(dataset.users.size()),
                                               .items = static_cast<int64_t>(dataset.items.size()),
                                               .observations = static_cast<int64_t>(observed),
                                               .sessions = static_cast<int64_t>(sessions.size())},
                                              batch));
  dataset.events.ReleaseEvents();
  {
    const std::vector<Observation> observations = std::move(pass.observations()).Take();
    malloc_trim(0);  // The events' pass took small pieces; what comes takes large ones.
    ServingWorld with_sessions = world;
    with_sessions.sessions = sessions;
    TRIBUTARY_ASSIGN_OR_RETURN(views.learned, Learn(observations, static_cast<uint32_t>(views.learned_users.size()),
                                                    static_cast<uint32_t>(dataset.items.size()), batch, &with_sessions));
  }
  build_session_index();
  NeighbourOptions options;
  options.k = static_cast<size_t>(batch.neighbours());
  options.threads = batch.threads();
  const InteractionMatrix& matrix = views.learned->matrix;
  views.neighbours = ItemNeighbours(matrix, options).Compute(0, matrix.items());
  if (batch.new_item_weight() > 0) {
    const std::vector<uint32_t> new_items =
        PlaceNewItems(dataset, Deleted(dataset, catalogue), batch.new_item_weight(), *views.learned);
    AddNeighboursOfNewItems(new_items, views.learned->ials.items, batch, &views.neighbours);
    views.new_items = static_cast<int64_t>(new_items.size());
  }
  return views;
}

absl::Status WriteViews(const Dataset& dataset, Views& views, const v1::Config& config,
                        const std::map<PartitionId, Offset>& watermarks, SnapshotWriter& writer) {
  TRIBUTARY_RETURN_IF_ERROR(writer.WriteItems(dataset.items));
  TRIBUTARY_RETURN_IF_ERROR(WriteUsers(dataset, views, config.batch(), writer));
  TRIBUTARY_RETURN_IF_ERROR(writer.WriteNeighbours(views.neighbours));
  TRIBUTARY_RETURN_IF_ERROR(writer.WriteSessions(views.session_index.index()));
  if (views.learned.has_value()) {
    TRIBUTARY_RETURN_IF_ERROR(WriteFactors(*views.learned, config.batch(), writer));
  }
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
