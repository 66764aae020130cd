#include "tests/bench/serving_world.h"

#include <algorithm>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include <glog/logging.h>

#include "absl/strings/str_cat.h"
#include "common/snapshot/snapshot.h"

namespace tributary::serving {
namespace {

constexpr int kPartitions = 4;
constexpr int kFactsOfUser = 4;
constexpr int64_t kFedBetweenProgress = 25;

}  // namespace

std::string UserId(int user) { return absl::StrCat("user-", user); }

void WriteSnapshot(const std::string& dir, const Scale& scale, Generation generation) {
  std::mt19937_64 random(7);
  const auto item = [&] { return static_cast<uint32_t>(random() % scale.items); };
  auto writer = *SnapshotWriter::Create(dir, generation);
  std::vector<v1::Item> items(scale.items);
  std::vector<std::vector<ScoredItem>> neighbours(scale.items);
  for (int i = 0; i < scale.items; ++i) {
    items[i].set_item_id(absl::StrCat("item-", i));
    items[i].add_categories(absl::StrCat("category-", i % 100));
    items[i].set_price(i % 50);
    for (int n = 1; n <= 50; ++n) {
      neighbours[i].push_back({.item = ItemNumber{static_cast<uint32_t>((i + n) % scale.items)}, .score = 1.0F / n});
    }
  }
  CHECK(writer->WriteItems(items).ok());
  CHECK(writer->WriteNeighbours(neighbours).ok());
  std::vector<PastSession> sessions(scale.sessions);
  for (int s = 0; s < scale.sessions; ++s) {
    sessions[s].time_unix_ms = 1'690'000'000'000 + s * 100;
    // Walks among items near each other, the first ones more often.
    const auto first = static_cast<uint32_t>(std::min({item(), item(), item()}));
    for (uint64_t i = 0; i < 2 + random() % 8; ++i) {
      sessions[s].items.push_back((first + static_cast<uint32_t>(random() % 20)) % scale.items);
    }
  }
  const SessionIndexArrays arrays = SessionIndexArrays::Build(std::move(sessions), scale.items, 1'500);
  CHECK(writer->WriteSessions(arrays.index()).ok());
  constexpr int kDimensions = 64;
  std::normal_distribution<float> normal(0, 0.1F);
  std::vector<float> values(static_cast<size_t>(scale.items) * kDimensions);
  std::generate(values.begin(), values.end(), [&] { return normal(random); });
  const std::vector<float> eigenvalues(kDimensions, 0.01F * static_cast<float>(scale.items));
  CHECK(writer
            ->WriteFactors({.items = static_cast<uint32_t>(scale.items),
                            .dimensions = kDimensions,
                            .unobserved_weight = 0.1F,
                            .regularization = 0.005F,
                            .regularization_exponent = 1,
                            .eigenvalues = eigenvalues,
                            .values = values})
            .ok());
  std::vector<std::pair<std::string, int>> users;
  for (int u = 0; u < scale.users; ++u) {
    users.emplace_back(UserId(u), u);
  }
  std::sort(users.begin(), users.end());
  for (const auto& [user_id, u] : users) {
    v1::SnapshotUser user;
    for (int i = 0; i < 100; ++i) {
      user.mutable_list()->add_items((item() / 100 * 100 + i) % scale.items);  // All different.
      user.mutable_list()->add_scores(1.0F / (1 + i));
    }
    std::vector<uint32_t> bought(30);
    std::generate(bought.begin(), bought.end(), item);
    std::sort(bought.begin(), bought.end());
    bought.erase(std::unique(bought.begin(), bought.end()), bought.end());
    for (const uint32_t i : bought) {
      v1::Profile* profile = user.mutable_profile();
      profile->add_items(i);
      profile->add_kinds(v1::PURCHASE);
      profile->add_event_times_unix_ms(1'690'000'000'000);
      profile->add_partitions(-1);
      profile->add_offsets(i);
      profile->add_values_micros(1'000'000);
    }
    CHECK(writer->PutUser(user_id, user).ok());
  }
  v1::ScoredItems popular;
  for (int i = 0; i < std::min(500, scale.items); ++i) {
    popular.add_items(i);
    popular.add_scores(1.0F / (1 + i));
  }
  CHECK(writer->PutPopular(kPopularOverall, popular).ok());
  v1::SnapshotManifest manifest;
  manifest.set_segment_size(1024);
  manifest.set_events_topic("events");
  v1::FoldIn* const fold_in = manifest.mutable_fold_in();
  fold_in->set_list_length(100);
  for (const v1::EventType kind : {v1::VIEW, v1::PURCHASE}) {
    v1::KindWeight* const entry = fold_in->add_kind_weights();
    entry->set_kind(kind);
    entry->set_weight(kind == v1::VIEW ? 1 : 5);
  }
  CHECK(writer->Finish(manifest).ok());
  CHECK(SnapshotStore(dir).Activate(generation).ok());
}

LiveWorld::LiveWorld(const std::string& snapshots_dir, const Scale& scale)
    : config(DefaultConfig()), scale_(scale), applied_(kPartitions) {
  config.mutable_storage()->set_snapshots_dir(snapshots_dir);
  config.mutable_kafka()->set_partitions(kPartitions);
  config.mutable_serving()->set_listen_address("127.0.0.1:0");
  if (!scale.keep_lists) {
    config.mutable_serving()->set_fold_in_bytes(0);
    config.mutable_serving()->set_session_lists_bytes(0);
  }
  CHECK(log.CreateTopics(TopicsToCreate(topics, config.kafka())).ok());
  producer_ = *log.OpenProducer();
  for (int user = 0; user < scale.users; user += kUsersToOneLive) {
    PutView(user);
  }
  for (int p = 0; p < kPartitions; ++p) {
    // Progress never lies beyond the end of `events`.
    for (int64_t i = 0; i < applied_[p]; ++i) {
      CHECK(producer_->ProduceAsync({.topic = topics.events, .partition = PartitionId{p}, .key = "u", .value = ""}).ok());
    }
    CHECK(producer_->Flush(absl::Minutes(1)).ok());
    PutProgress(PartitionId{p});
  }
}

void LiveWorld::Feed() {
  const auto live_users = static_cast<uint64_t>(scale_.users / kUsersToOneLive);
  const int user = static_cast<int>(random_() % live_users) * kUsersToOneLive;
  const PartitionId partition = PartitionOfKey(UserId(user), kPartitions);
  for (int i = 0; i < kFactsOfUser; ++i) {
    CHECK(producer_->ProduceAsync({.topic = topics.events, .partition = partition, .key = "u", .value = ""}).ok());
  }
  CHECK(producer_->Flush(absl::Minutes(1)).ok());
  PutView(user);
  if (++fed_ % kFedBetweenProgress == 0) {
    for (int p = 0; p < kPartitions; ++p) {
      PutProgress(PartitionId{p});
    }
  }
}

void LiveWorld::PutView(int user) {
  const PartitionId partition = PartitionOfKey(UserId(user), kPartitions);
  int64_t& applied = applied_[static_cast<size_t>(Value(partition))];
  v1::SpeedView view;
  for (int f = 0; f < kFactsOfUser; ++f) {
    v1::Fact* fact = view.add_facts();
    fact->set_kind(f == kFactsOfUser - 1 ? v1::PURCHASE : v1::VIEW);
    fact->set_item_id(absl::StrCat("item-", random_() % static_cast<uint64_t>(scale_.items)));
    fact->set_event_time_unix_ms(absl::ToUnixMillis(clock.Now()) - 60'000 * (kFactsOfUser - f));
    fact->set_offset(applied++);
  }
  view.mutable_position()->set_applied_offset(applied);
  Put(partition, UserId(user), view.SerializeAsString());
}

void LiveWorld::PutProgress(PartitionId partition) {
  v1::Progress progress;
  progress.mutable_position()->set_applied_offset(applied_[static_cast<size_t>(Value(partition))]);
  Put(partition, std::string(kProgressKey), progress.SerializeAsString());
}

void LiveWorld::Put(PartitionId partition, std::string key, std::string value) {
  CHECK(producer_
            ->Produce({.topic = topics.speed_views, .partition = partition, .key = std::move(key),
                       .value = std::move(value), .headers = {}},
                      absl::Seconds(1))
            .ok());
}

OfflineAnswers::OfflineAnswers(const std::string& snapshots_dir, const Scale& scale)
    : world_(snapshots_dir, scale),
      follower_({.topics = world_.topics, .poll_timeout = absl::ZeroDuration()}, world_.log, world_.clock, live_,
                context_, world_.metrics, [] {}),
      recommender_({.stale_after = absl::Seconds(world_.config.serving().stale_after_seconds()), .segment_size = 1024},
                   policy_, world_.clock, live_, context_, trends_, [] { return true; }) {
  CHECK(follower_.Start().ok());
  while (!follower_.ready()) {
    follower_.WatchLog();
    CHECK(follower_.RunOnce().ok());
  }
  auto snapshot =
      LoadedSnapshot::Load({.snapshots_dir = snapshots_dir, .block_cache_bytes = int64_t{64} << 20}, Generation{1}, policy_);
  CHECK(snapshot.ok()) << snapshot.status();
  context_.Activate(*std::move(snapshot));
  CHECK(follower_.RunOnce().ok());   // The live sessions beside it.
}

void OfflineAnswers::Recommend(const v1::RecommendRequest& request, v1::RecommendResponse* response) const {
  const absl::Status status = recommender_.Recommend(request, response);
  CHECK(status.ok()) << status;
}

}  // namespace tributary::serving
