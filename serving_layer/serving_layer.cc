#include "serving_layer/serving_layer.h"

#include <glog/logging.h>

#include <atomic>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "common/event_log/topics.h"
#include "common/merge/policy.h"
#include "common/process/scheduling.h"
#include "common/status/status_macros.h"
#include "common/sync/mutex.h"
#include "serving_layer/api/grpc_server.h"
#include "serving_layer/context/context_publisher.h"
#include "serving_layer/live_state/item_trends.h"
#include "serving_layer/live_state/live_popularity.h"
#include "serving_layer/live_state/live_state.h"
#include "serving_layer/live_state/segment_trends.h"
#include "serving_layer/live_state/topic_follower.h"
#include "serving_layer/requests/event_publisher.h"
#include "serving_layer/requests/fold_in_queue.h"
#include "serving_layer/requests/freshness_waits.h"
#include "serving_layer/requests/recommender.h"
#include "serving_layer/requests/watches.h"
#include "serving_layer/snapshot_manager/snapshot_manager.h"

namespace tributary::serving {
namespace {

// Between two tries to read a log that is away.
constexpr absl::Duration kLogRetry = absl::Milliseconds(100);
// Between two looks at whether it is time to ask the log for its ends.
constexpr absl::Duration kWatchInterval = absl::Milliseconds(20);
// Between two looks at whether what was loaded meanwhile may be served, until the topics were followed to their end.
constexpr absl::Duration kStartInterval = absl::Milliseconds(20);
// Between two looks at whose list has changed: changes that come quicker are sent as one.
constexpr absl::Duration kWatcherInterval = absl::Milliseconds(20);
// Between two looks at which live counts have changed.
constexpr absl::Duration kTrendsInterval = absl::Seconds(1);
// Users that wait for a dear fold-in: what one thread makes in some seconds of a million items.
constexpr size_t kMostFoldIns = 1024;

}  // namespace

struct ServingLayer::Impl {
  Impl(const v1::Config& config_message, const MergePolicy& merge_policy, Experiments all_experiments, EventLog& log,
       const Clock& system_clock, MetricsRegistry& metrics, std::function<void()> failure_callback)
      : config(config_message),
        clock(system_clock),
        on_failure(std::move(failure_callback)),
        policy(merge_policy),
        experiments(std::move(all_experiments)),
        topics(config.kafka().topic_prefix()),
        live({.index = {.memory_budget_bytes = config.serving().live_sessions_bytes(),
                        .sessions_per_item = policy.session_neighbours.recent_sessions},
              .lists = {.memory_budget_bytes = config.serving().session_lists_bytes(),
                        .max_age = absl::Milliseconds(config.serving().session_lists_max_age_ms())}}),
        fold_ins(kMostFoldIns, metrics),
        waits([this](const v1::EventPosition& position) { return recommender.Covers(position); }),
        follower({.topics = topics}, log, clock, live, context, metrics,
                 [this] {
                   waits.Wake();
                   watches.Wake();
                 }),
        recommender({.stale_after = absl::Seconds(config.serving().stale_after_seconds()),
                     .segment_size = config.kafka().segment_size(),
                     .experiments = &experiments,
                     .popularity = &popularity,
                     .segment_trends = &segment_trends,
                     .fold_ins = &fold_ins},
                    policy, clock, live, context, trends, [this] { return follower.log_reachable(); }),
        watches(static_cast<size_t>(config.serving().max_watchers()), recommender, live, context),
        snapshots({.snapshots_dir = config.storage().snapshots_dir(),
                   .block_cache_bytes = config.serving().block_cache_bytes(),
                   .fold_in = {.memory_budget_bytes = config.serving().fold_in_bytes(),
                               .at_once_bytes = config.serving().fold_in_at_once_bytes()},
                   .experiment = experiments.generation()},
                  policy, clock, live, context, metrics) {
    live.SetUserListener([this](const std::string& user_id) { segment_trends.UserChanged(user_id); });
  }

  bool Ready() const {
    return follower.ready() && (config.serving().serve_without_snapshot() || follower.snapshot_checked());
  }

  void UpdateHealth() {
    MutexLock lock(health_mutex);
    const bool now_ready = !stopping.load() && !failed.load() && !draining.load() && Ready();
    if (now_ready != ready.load()) {
      server->SetServing(now_ready);
      ready.store(now_ready);
      LOG(INFO) << (now_ready ? "ready" : "not ready");
    }
  }

  // Waits at most `timeout` for Stop; answers whether it came.
  bool WaitForStop(absl::Duration timeout) {
    MutexLock lock(stop_mutex);
    return stop_changed.AwaitFor(stop_mutex, timeout, [this] { return stopping.load(); });
  }

  void Follow() {
    while (!stopping.load()) {
      if (const absl::Status status = follower.RunOnce(); !status.ok()) {
        return Fail(status);
      }
      UpdateHealth();
      if (!follower.log_reachable()) {
        WaitForStop(kLogRetry);
      }
    }
  }

  void WatchLog() {
    do {
      follower.WatchLog();
    } while (!WaitForStop(kWatchInterval));
  }

  void Drain(bool drain) {
    if (draining.exchange(drain) != drain) {
      LOG(INFO) << (drain ? "draining, as asked" : "no longer draining, as asked");
    }
    UpdateHealth();
  }

  void SendToWatchers() {
    do {
      watches.RunOnce();
    } while (!WaitForStop(kWatcherInterval));
  }

  void FoldInBeside() {
    SetUrgency(Urgency::kIdle);
    while (const std::optional<FoldInQueue::Entry> user = fold_ins.Take()) {
      if (const absl::Status status = recommender.FoldIn(*user); !status.ok()) {
        LOG_EVERY_N(WARNING, 1000) << "fold-in failed: " << status.message();
      }
      watches.Wake();
    }
  }

  void FollowTrends() {
    SetUrgency(Urgency::kNice);
    do {
      trends.RunOnce(clock.Now());
      trends.Resolve(clock.Now(), context);
      popularity.RunOnce(clock.Now(), context);
      segment_trends.RunOnce(clock.Now(), context);
    } while (!WaitForStop(kTrendsInterval));
  }

  void Fail(const absl::Status& status) {
    {
      MutexLock lock(health_mutex);
      failure = status;
    }
    failed.store(true);
    UpdateHealth();
    on_failure();
  }

  void ManageSnapshots() {
    SetUrgency(Urgency::kNice);
    bool followed = false;
    do {
      followed = follower.ready();
      if (const absl::Status status = snapshots.RunOnce(/*floor_known=*/followed); !status.ok()) {
        LOG_EVERY_N(WARNING, 1000) << status.message();
      }
      UpdateHealth();
    } while (!WaitForStop(followed ? absl::Milliseconds(config.serving().snapshot_poll_ms()) : kStartInterval));
  }

  const v1::Config config;
  const Clock& clock;
  const std::function<void()> on_failure;
  const MergePolicy policy;
  const Experiments experiments;
  const Topics topics;
  LiveState live;
  ItemTrends trends{live};
  SegmentTrends segment_trends{live};
  LivePopularity popularity{live, config.kafka().segment_size()};
  ContextPublisher context;
  FoldInQueue fold_ins;
  FreshnessWaits waits;
  TopicFollower follower;
  Recommender recommender;
  Watches watches;
  SnapshotManager snapshots;
  std::unique_ptr<EventPublisher> publisher;
  std::unique_ptr<GrpcServer> server;

  Mutex health_mutex;
  std::atomic<bool> ready{false};
  std::atomic<bool> failed{false};
  std::atomic<bool> draining{false};
  absl::Status failure ABSL_GUARDED_BY(health_mutex);
  Mutex stop_mutex;
  CondVar stop_changed;
  std::atomic<bool> stopping{false};
  std::thread follower_thread;
  std::thread watch_thread;
  std::thread trends_thread;
  std::thread watcher_thread;
  std::thread snapshot_thread;
  std::vector<std::thread> fold_in_threads;
};

absl::StatusOr<std::unique_ptr<ServingLayer>> ServingLayer::Start(const v1::Config& config, EventLog& log,
                                                                  const Clock& clock, MetricsRegistry& metrics,
                                                                  std::function<void()> on_failure) {
  TRIBUTARY_ASSIGN_OR_RETURN(const MergePolicy policy, MergePolicy::FromProto(config.merge()));
  TRIBUTARY_ASSIGN_OR_RETURN(Experiments experiments, Experiments::FromConfig(config));
  auto impl =
      std::make_unique<Impl>(config, policy, std::move(experiments), log, clock, metrics, std::move(on_failure));
  TRIBUTARY_RETURN_IF_ERROR(SnapshotStore(config.storage().snapshots_dir()).List().status());
  TRIBUTARY_RETURN_IF_ERROR(impl->follower.Start());
  TRIBUTARY_ASSIGN_OR_RETURN(impl->publisher, EventPublisher::Start(log, metrics));
  TRIBUTARY_ASSIGN_OR_RETURN(impl->server,
                             GrpcServer::Start(impl->config.serving().listen_address(),
                                               {.recommender = impl->recommender,
                                                .live = impl->live,
                                                .context = impl->context,
                                                .snapshots = impl->snapshots,
                                                .publisher = *impl->publisher,
                                                .waits = impl->waits,
                                                .watches = impl->watches,
                                                .clock = clock,
                                                .metrics = metrics,
                                                .config = impl->config,
                                                .topics = impl->topics,
                                                .drain = [self = impl.get()](bool drain) { self->Drain(drain); }}));
  impl->follower_thread = std::thread([self = impl.get()] { self->Follow(); });
  impl->watch_thread = std::thread([self = impl.get()] { self->WatchLog(); });
  impl->trends_thread = std::thread([self = impl.get()] { self->FollowTrends(); });
  impl->watcher_thread = std::thread([self = impl.get()] { self->SendToWatchers(); });
  impl->snapshot_thread = std::thread([self = impl.get()] { self->ManageSnapshots(); });
  for (int i = 0; i < config.serving().fold_in_threads(); ++i) {
    impl->fold_in_threads.emplace_back([self = impl.get()] { self->FoldInBeside(); });
  }
  return std::unique_ptr<ServingLayer>(new ServingLayer(std::move(impl)));
}

ServingLayer::ServingLayer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

ServingLayer::~ServingLayer() { Stop(absl::ZeroDuration()); }

int ServingLayer::port() const { return impl_->server->port(); }

int ServingLayer::http_port() const { return impl_->server->http_port(); }

bool ServingLayer::ready() const { return impl_->ready.load(); }

absl::Status ServingLayer::failure() const {
  MutexLock lock(impl_->health_mutex);
  return impl_->failure;
}

void ServingLayer::Stop(absl::Duration grace) {
  if (!impl_->follower_thread.joinable()) {
    return;
  }
  impl_->server->Shutdown(grace);
  {
    MutexLock lock(impl_->stop_mutex);
    impl_->stopping.store(true);
    impl_->stop_changed.NotifyAll();
  }
  impl_->follower_thread.join();
  impl_->watch_thread.join();
  impl_->trends_thread.join();
  impl_->watcher_thread.join();
  impl_->snapshot_thread.join();
  impl_->fold_ins.Close();
  for (std::thread& thread : impl_->fold_in_threads) {
    thread.join();
  }
  impl_->publisher.reset();
}

}  // namespace tributary::serving
