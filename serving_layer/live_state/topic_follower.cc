#include "serving_layer/live_state/topic_follower.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status/status_macros.h"

namespace tributary::serving {
namespace {

constexpr int kMaxEventsPerPoll = 2000;
// While a backlog is read, a new context is made no more often than this.
constexpr absl::Duration kContextInterval = absl::Milliseconds(50);
// Logging one of so many: a broken producer must not fill the disk.
constexpr int kLogOneOf = 1000;

// The clock may jump: back counts as passed, so that nothing waits for the time to come again.
bool HasPassed(absl::Time now, absl::Time since, absl::Duration duration) {
  return now < since || now - since >= duration;
}

}  // namespace

TopicFollower::TopicFollower(Options options, EventLog& log, const Clock& clock, LiveState& live,
                             ContextPublisher& context, MetricsRegistry& metrics, std::function<void()> on_publish)
    : options_(std::move(options)),
      log_(log),
      clock_(clock),
      live_(live),
      context_(context),
      metrics_(metrics),
      on_publish_(std::move(on_publish)),
      records_(metrics.AddCounter("tributary_serving_followed_records_total", "Records read from the followed topics.")),
      unreadable_(metrics.AddCounter("tributary_serving_unreadable_records_total",
                                     "Records of the followed topics that could not be read and were skipped.")),
      sessions_(metrics.AddGauge("tributary_serving_live_sessions",
                                 "Sessions that the snapshot has not counted, in memory.")),
      fold_in_bytes_(metrics.AddGauge("tributary_serving_memory_bytes", "Memory, about, by what it is for.",
                                      {{"part", "fold_in"}})),
      compact_factor_bytes_(metrics.AddGauge("tributary_serving_memory_bytes", "Memory, about, by what it is for.",
                                             {{"part", "compact_factors"}})),
      session_bytes_(metrics.AddGauge("tributary_serving_memory_bytes", "Memory, about, by what it is for.",
                                      {{"part", "live_sessions"}})),
      session_list_bytes_(metrics.AddGauge("tributary_serving_memory_bytes", "Memory, about, by what it is for.",
                                           {{"part", "session_lists"}})),
      users_(metrics.AddGauge("tributary_serving_live_users", "Users with a live view in memory.")),
      topics_({{.name = options_.topics.speed_views, .isolation = Isolation::kUncommitted},
               {.name = options_.topics.live_counts, .isolation = Isolation::kUncommitted},
               {.name = options_.topics.items, .isolation = Isolation::kCommitted},
               {.name = options_.topics.users, .isolation = Isolation::kCommitted},
               {.name = options_.topics.rules, .isolation = Isolation::kCommitted}}),
      watch_({.followed_topics = Names(topics_),
              .events_topic = options_.topics.events,
              .interval = options_.refresh_interval},
             log, clock, live, context) {}

std::vector<std::string> TopicFollower::Names(const std::vector<FollowedTopic>& topics) {
  std::vector<std::string> names;
  for (const FollowedTopic& topic : topics) {
    names.push_back(topic.name);
  }
  return names;
}

absl::Status TopicFollower::Start() {
  TRIBUTARY_ASSIGN_OR_RETURN(uncommitted_, log_.OpenReader(Isolation::kUncommitted));
  TRIBUTARY_ASSIGN_OR_RETURN(committed_, log_.OpenReader(Isolation::kCommitted));
  for (FollowedTopic& topic : topics_) {
    TRIBUTARY_ASSIGN_OR_RETURN(const int count, log_.PartitionCount(topic.name));
    TRIBUTARY_RETURN_IF_ERROR(FollowNewPartitions(topic, count, /*at_start=*/true));
  }
  watch_.RunOnce();
  if (const std::optional<LogWatch::Finding> finding = watch_.Take(); finding.has_value()) {
    TRIBUTARY_RETURN_IF_ERROR(TakeFinding(*finding));
  }
  if (wanted_.empty()) {
    ready_.store(true, std::memory_order_release);
  }
  return absl::OkStatus();
}

absl::Status TopicFollower::FollowNewPartitions(FollowedTopic& topic, int count, bool at_start) {
  for (; topic.partitions < count; ++topic.partitions) {
    const TopicPartition partition{topic.name, PartitionId{topic.partitions}};
    TRIBUTARY_ASSIGN_OR_RETURN(const OffsetRange range, log_.Offsets(partition, topic.isolation));
    TRIBUTARY_RETURN_IF_ERROR(ReaderOf(topic.isolation).Start(partition, range.begin));
    position_[partition] = range.begin;
    if (at_start && range.begin < range.end) {
      wanted_[partition] = range.end;
    }
  }
  if (topic.name == options_.topics.speed_views) {
    live_.SetPartitionCount(topic.partitions);
  }
  return absl::OkStatus();
}

absl::Status TopicFollower::TakeFinding(const LogWatch::Finding& finding) {
  TRIBUTARY_RETURN_IF_ERROR(finding.answered);
  for (size_t t = 0; t < topics_.size(); ++t) {
    TRIBUTARY_RETURN_IF_ERROR(FollowNewPartitions(topics_[t], finding.partitions[t], /*at_start=*/false));
  }
  for (const auto& [partition, end] : finding.events_ends) {
    live_.SetEventsEnd(partition, end, finding.asked_at);
  }
  recreated_.Update(finding.recreated);
  if (finding.generation != Generation{0}) {
    snapshot_checked_.store(true, std::memory_order_release);
  }
  return absl::OkStatus();
}

void TopicFollower::SetGauges(absl::Time now) {
  users_.Set(static_cast<double>(live_.user_count()));
  sessions_.Set(static_cast<double>(live_.sessions().size()));
  {
    EpochGuard guard;
    const ServingContext& context = context_.context();
    const FoldIn* const fold_in = context.snapshot != nullptr ? context.snapshot->fold_in() : nullptr;
    fold_in_bytes_.Set(fold_in != nullptr ? static_cast<double>(fold_in->memo().bytes()) : 0);
    compact_factor_bytes_.Set(fold_in != nullptr ? static_cast<double>(fold_in->compact_bytes()) : 0);
  }
  session_bytes_.Set(static_cast<double>(live_.sessions().bytes()));
  session_list_bytes_.Set(static_cast<double>(live_.sessions().list_bytes()));
  const std::vector<LivePartitionState>& live = live_.next_partitions();
  EpochGuard guard;
  const ServingContext& context = context_.context();
  for (size_t p = 0; p < live.size(); ++p) {
    if (p == partition_gauges_.size()) {
      const MetricLabels labels = {{"partition", absl::StrCat(p)}};
      partition_gauges_.push_back(
          {.applied = &metrics_.AddGauge("tributary_serving_applied_offset",
                                         "Events below this offset have been applied by the speed layer.", labels),
           .watermark = &metrics_.AddGauge("tributary_serving_watermark_offset",
                                           "Events below this offset are counted by the snapshot being served.", labels),
           .lag = &metrics_.AddGauge("tributary_serving_lag_seconds",
                                     "Since the speed layer was last seen to make progress or to have nothing to do.",
                                     labels)});
    }
    const PartitionGauges& gauges = partition_gauges_[p];
    gauges.applied->Set(static_cast<double>(Value(live[p].applied())));
    gauges.watermark->Set(static_cast<double>(Value(context.Watermark(PartitionId{static_cast<int32_t>(p)}))));
    // Never seen: infinite. The broker's clock may be ahead of ours.
    gauges.lag->Set(std::max(absl::ToDoubleSeconds(now - live[p].current()), 0.0));
  }
}

absl::Status TopicFollower::RunOnce() {
  const absl::StatusOr<int> live_events = PollInto(Isolation::kUncommitted, options_.poll_timeout);
  const absl::StatusOr<int> context_events = PollInto(Isolation::kCommitted, absl::ZeroDuration());
  const absl::Time now = clock_.Now();
  const std::optional<LogWatch::Finding> finding = watch_.Take();
  const absl::Status found = finding ? TakeFinding(*finding) : absl::OkStatus();
  if (!live_events.ok() || !context_events.ok()) {
    SetReachable(live_events.ok() ? context_events.status() : live_events.status());
  } else if (finding.has_value()) {
    // A reader may be silent rather than fail while the brokers are away: the watch has to be answered.
    SetReachable(found);
  }
  const bool backlog = context_events.ok() && *context_events == kMaxEventsPerPoll;
  if (!backlog || HasPassed(now, last_context_publish_, kContextInterval)) {
    last_context_publish_ = now;
    context_.Publish();
  }
  live_.DropFaded();
  if (ready()) {
    live_.UpdateSessions(context_);   // Before the progress that covers them is seen.
  }
  if (live_.Publish()) {
    on_publish_();
  }
  SetGauges(now);
  if (ready()) {
    return recreated_;
  }
  // What was read, and is visible now, is compared before anything is answered from it.
  const bool asked = finding.has_value() && finding->requested;
  if (wanted_.empty() && (!std::exchange(end_reached_, true) || (asked && !found.ok()))) {
    watch_.AskSoon();
  } else if (asked && found.ok() && recreated_.ok()) {
    context_.Publish();
    LOG(INFO) << "topics followed to their end: live_users=" << live_.user_count();
    ready_.store(true, std::memory_order_release);
  }
  return recreated_;
}

absl::StatusOr<int> TopicFollower::PollInto(Isolation isolation, absl::Duration timeout) {
  absl::StatusOr<std::vector<LogEvent>> events = ReaderOf(isolation).Poll(timeout, kMaxEventsPerPoll);
  if (absl::IsOutOfRange(events.status())) {
    TRIBUTARY_RETURN_IF_ERROR(RestartLostPartitions(isolation));
    return 0;
  }
  TRIBUTARY_RETURN_IF_ERROR(events.status());
  for (const LogEvent& event : *events) {
    if (const auto* record = std::get_if<LogRecord>(&event)) {
      Apply(*record);
      Reached(record->source, Next(record->offset));
    } else if (const auto* end = std::get_if<EndOfPartition>(&event)) {
      Reached(end->source, end->position);
    }
  }
  return static_cast<int>(events->size());
}

void TopicFollower::Apply(const LogRecord& record) {
  records_.Increment();
  const Topics& topics = options_.topics;
  const std::string& topic = record.source.topic;
  if (topic == topics.users) {
    live_.UserChanged(record.key);
  }
  const absl::Status status = topic == topics.speed_views   ? live_.ApplySpeedView(record)
                              : topic == topics.live_counts ? live_.ApplyLiveCounts(record)
                              : topic == topics.items       ? context_.ApplyItem(record)
                              : topic == topics.users       ? context_.ApplyUser(record)
                                                            : context_.ApplyRule(record);
  if (!status.ok()) {
    unreadable_.Increment();
    LOG_EVERY_N(WARNING, kLogOneOf) << status.message() << " (the first of up to " << kLogOneOf << " such records)";
  }
}

void TopicFollower::Reached(const TopicPartition& partition, Offset position) {
  position_[partition] = position;
  const auto wanted = wanted_.find(partition);
  if (wanted != wanted_.end() && position >= wanted->second) {
    wanted_.erase(wanted);
  }
}

// Records that were not read yet are gone (retention, or a topic that was made anew): goes on from what is there.
absl::Status TopicFollower::RestartLostPartitions(Isolation isolation) {
  for (const FollowedTopic& topic : topics_) {
    if (topic.isolation != isolation) {
      continue;
    }
    for (int p = 0; p < topic.partitions; ++p) {
      const TopicPartition partition{topic.name, PartitionId{p}};
      TRIBUTARY_ASSIGN_OR_RETURN(const OffsetRange range, log_.Offsets(partition, isolation));
      Offset& position = position_[partition];
      if (position < range.begin || position > range.end) {
        LOG(WARNING) << "followed partition restarts: topic=" << topic.name << " partition=" << p
                     << " position=" << Value(position) << " begin=" << Value(range.begin)
                     << " end=" << Value(range.end);
        position = range.begin;
        TRIBUTARY_RETURN_IF_ERROR(ReaderOf(isolation).Start(partition, position));
        Reached(partition, position);
      }
    }
  }
  return absl::OkStatus();
}

void TopicFollower::SetReachable(const absl::Status& status) {
  const bool reachable = status.ok();
  if (log_reachable_.exchange(reachable, std::memory_order_acq_rel) != reachable) {
    if (reachable) {
      LOG(INFO) << "event log is back";
    } else {
      LOG(WARNING) << "event log is away, the last state keeps serving: " << status.message();
    }
  }
}

}  // namespace tributary::serving
