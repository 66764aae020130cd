#include "speed_layer/restorer.h"

#include <algorithm>
#include <string>
#include <variant>

#include "common/status/status_macros.h"

namespace tributary::speed {
namespace {

// How long a thread waits for records before it looks whether it is still wanted.
constexpr absl::Duration kPieceTimeout = absl::Milliseconds(20);
constexpr size_t kPrefetchAhead = 8;  // Records.
// Views are read while the processor's cache still has them.
constexpr int kMaxPieceEvents = 500;

}  // namespace

absl::Status RestoreJob::Begin() {
  TRIBUTARY_ASSIGN_OR_RETURN(reader_, log_.OpenReader(Isolation::kCommitted));
  int64_t total = 0;
  for (const std::string& topic : {settings_.topics.speed_views, settings_.topics.live_counts}) {
    const TopicPartition source{topic, partition_};
    TRIBUTARY_ASSIGN_OR_RETURN(const OffsetRange range, log_.Offsets(source, Isolation::kUncommitted));
    if (range.begin == range.end) continue;
    total += Value(range.end) - Value(range.begin);
    if (topic == settings_.topics.speed_views) restore_.Expect(Value(range.end) - Value(range.begin));
    behind_[source] = {.at = range.begin, .end = range.end};
    TRIBUTARY_RETURN_IF_ERROR(reader_->Start(source, range.begin));
  }
  total_ = total;
  return absl::OkStatus();
}

absl::StatusOr<bool> RestoreJob::RunOnce(absl::Duration timeout, int max_events) {
  if (!reader_) TRIBUTARY_RETURN_IF_ERROR(Begin());
  if (behind_.empty()) return true;  // There was nothing from the beginning.
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<LogEvent> events, reader_->Poll(timeout, std::min(max_events, kMaxPieceEvents)));
  const LogRecord* last = nullptr;
  for (size_t i = 0; i < events.size(); ++i) {
    const LogEvent& event = events[i];
    if (i + kPrefetchAhead < events.size()) {
      if (const auto* ahead = std::get_if<LogRecord>(&events[i + kPrefetchAhead])) restore_.Prefetch(*ahead);
    }
    if (const LogRecord* record = std::get_if<LogRecord>(&event)) {
      TRIBUTARY_RETURN_IF_ERROR(restore_.Add(*record));
      last = record;
    } else if (const EndOfPartition* end = std::get_if<EndOfPartition>(&event)) {
      const auto source = behind_.find(end->source);
      if (source == behind_.end() || end->position < source->second.end) continue;
      Pass(source->second, source->second.end);
      behind_.erase(source);
      TRIBUTARY_RETURN_IF_ERROR(reader_->Stop(end->source));
    }
  }
  if (last != nullptr) {
    const auto source = behind_.find(last->source);
    if (source != behind_.end()) Pass(source->second, Next(last->offset));
  }
  if (behind_.empty()) reader_.reset();
  return behind_.empty();
}

void RestoreJob::Pass(Piece& piece, Offset position) {
  position = std::min(position, piece.end);
  if (position <= piece.at) return;
  passed_ += Value(position) - Value(piece.at);
  piece.at = position;
}

Restorer::~Restorer() {
  for (auto& [partition, task] : jobs_) cancelled_.push_back(std::move(task));
  for (const std::unique_ptr<Task>& task : cancelled_) task->cancelled = true;
  for (const std::unique_ptr<Task>& task : cancelled_) {
    if (task->thread.joinable()) task->thread.join();
  }
}

void Restorer::Begin(PartitionId partition, int64_t budget_bytes) {
  Cancel(partition);
  jobs_.emplace(partition, std::make_unique<Task>(log_, settings_, partition, budget_bytes));
}

void Restorer::Cancel(PartitionId partition) {
  const auto it = jobs_.find(partition);
  if (it == jobs_.end()) return;
  it->second->cancelled = true;
  cancelled_.push_back(std::move(it->second));
  jobs_.erase(it);
  DropEndedThreads();
}

void Restorer::DropEndedThreads() {
  std::erase_if(cancelled_, [](const std::unique_ptr<Task>& task) {
    if (task->stage == Task::Stage::kRunning) return false;
    if (task->thread.joinable()) task->thread.join();
    return true;
  });
}

double Restorer::Progress(PartitionId partition) const {
  const auto it = jobs_.find(partition);
  return it == jobs_.end() ? 0 : it->second->job.progress();
}

absl::StatusOr<std::vector<std::pair<PartitionId, PartitionRestore>>> Restorer::Poll(absl::Duration timeout,
                                                                                     int max_events) {
  std::vector<std::pair<PartitionId, PartitionRestore>> done;
  DropEndedThreads();
  if (jobs_.empty()) return done;
  if (threads_ == 0) {
    RunPieces(timeout, max_events);
  } else {
    StartSome(max_events);
    MutexLock lock(mutex_);
    (void)ended_.AwaitFor(mutex_, timeout, [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return ends_ > 0; });
    ends_ = 0;
  }
  for (auto it = jobs_.begin(); it != jobs_.end();) {
    if (it->second->ended() && it->second->failure.ok()) {
      if (it->second->thread.joinable()) it->second->thread.join();
      done.emplace_back(it->first, it->second->job.TakeResult());
      it = jobs_.erase(it);
    } else {
      ++it;
    }
  }
  if (!done.empty()) return done;  // Whatever befell others: they are told of next time.
  for (auto& [partition, task] : jobs_) {
    if (!task->ended()) continue;
    const absl::Status failure = task->failure;
    Begin(partition, task->budget_bytes);
    return failure;
  }
  return done;
}

void Restorer::StartSome(int max_events) {
  const auto is_running = [](const auto& task) { return task->stage == Task::Stage::kRunning; };
  auto running = std::count_if(cancelled_.begin(), cancelled_.end(), is_running);
  for (const auto& [partition, task] : jobs_) running += is_running(task) ? 1 : 0;
  for (auto& [partition, task] : jobs_) {
    if (running >= threads_) return;
    if (task->stage != Task::Stage::kWaiting) continue;
    task->stage = Task::Stage::kRunning;
    task->thread = std::thread([this, max_events, task = task.get()] { Run(*task, max_events); });
    ++running;
  }
}

void Restorer::Run(Task& task, int max_events) {
  bool done = false;
  while (!done && !task.cancelled) {
    const absl::StatusOr<bool> piece = task.job.RunOnce(kPieceTimeout, max_events);
    if (!piece.ok()) task.failure = piece.status();
    done = !piece.ok() || *piece;
  }
  MutexLock lock(mutex_);
  task.stage = Task::Stage::kEnded;
  ++ends_;
  ended_.NotifyOne();
}

void Restorer::RunPieces(absl::Duration timeout, int max_events) {
  for (auto& [partition, task] : jobs_) {
    if (task->ended()) continue;
    const absl::StatusOr<bool> piece = task->job.RunOnce(timeout, max_events);
    if (!piece.ok()) task->failure = piece.status();
    if (!piece.ok() || *piece) task->stage = Task::Stage::kEnded;
  }
}

}  // namespace tributary::speed
