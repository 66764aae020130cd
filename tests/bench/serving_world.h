#ifndef TRIBUTARY_TESTS_BENCH_SERVING_WORLD_H_
#define TRIBUTARY_TESTS_BENCH_SERVING_WORLD_H_

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/config/config.h"
#include "common/event_log/topics.h"
#include "common/merge/policy.h"
#include "common/metrics/metrics.h"
#include "serving_layer/context/context_publisher.h"
#include "serving_layer/live_state/live_state.h"
#include "serving_layer/live_state/topic_follower.h"
#include "serving_layer/requests/recommender.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_event_log.h"
#include "tributary/v1/recommendation_service.pb.h"

// What the serving benchmark serves: the same synthetic snapshot and live facts in every process.
namespace tributary::serving {

struct Scale {
  int users = 50'000;
  int items = 10'000;
  int sessions = 100'000;
  bool keep_lists = true;   // Of users who have acted since W; else each request makes the user's anew.
  absl::Duration warm_up = absl::Seconds(2);    // Of each turn.
  absl::Duration measured = absl::Seconds(3);
};

inline constexpr int kUsersToOneLive = 10;   // Each so many-th user has live facts.

std::string UserId(int user);

// Writes a snapshot and activates it: 100 items and about 30 purchases a user, 50 neighbours an item, sessions of 2 to 9
// items, factors of 64 dimensions.
void WriteSnapshot(const std::string& dir, const Scale& scale, Generation generation = Generation{1});

// The log with live facts for every tenth user: three views and a purchase each.
class LiveWorld {
 public:
  LiveWorld(const std::string& snapshots_dir, const Scale& scale);

  // One of these users, drawn at random, has other facts than before, as the speed layer would tell of it.
  void Feed();

  FakeClock clock;  // Stands still: ages are the same wherever the answer is made.
  FakeEventLog log{clock};
  v1::Config config;
  Topics topics{""};
  MetricsRegistry metrics;

 private:
  void PutView(int user);
  void PutProgress(PartitionId partition);
  void Put(PartitionId partition, std::string key, std::string value);

  const Scale scale_;
  std::mt19937_64 random_{8};
  std::vector<int64_t> applied_;   // By partition.
  std::unique_ptr<LogProducer> producer_;
  int64_t fed_ = 0;
};

// Answers as the server does, from the same files, without a server.
class OfflineAnswers {
 public:
  OfflineAnswers(const std::string& snapshots_dir, const Scale& scale);

  void Recommend(const v1::RecommendRequest& request, v1::RecommendResponse* response) const;

 private:
  LiveWorld world_;
  const MergePolicy policy_ = *MergePolicy::FromProto(world_.config.merge());
  LiveState live_{{.index = {}, .lists = {.memory_budget_bytes = world_.config.serving().session_lists_bytes()}}};
  ContextPublisher context_;
  TopicFollower follower_;
  ItemTrends trends_{live_};
  Recommender recommender_;
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_TESTS_BENCH_SERVING_WORLD_H_
