#ifndef TRIBUTARY_SPEED_LAYER_RESTORER_H_
#define TRIBUTARY_SPEED_LAYER_RESTORER_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/event_log/event_log.h"
#include "common/sync/mutex.h"
#include "speed_layer/partition_restore.h"

namespace tributary::speed {

// Reads the committed state of one partition back, piece by piece.
//
// It is done when the committed reader of its `speed-views` and of its `live-counts` has reached the end (the high
// watermark) that these topics had when it began. Reaching it means that every transaction which was open then has
// ended: markers reach the two topics at different times, and only so both show the same last commit.
// Threads: one at a time, but for progress().
class RestoreJob {
 public:
  // The arguments are borrowed and must outlive this.
  RestoreJob(EventLog& log, const PartitionSettings& settings, PartitionId partition, int64_t budget_bytes)
      : log_(log), settings_(settings), partition_(partition), restore_(settings, partition, budget_bytes) {}

  // One piece, waiting at most `timeout` for it; true when that was all. A failure ends the job. DataLoss: a record of
  // the state is unreadable.
  absl::StatusOr<bool> RunOnce(absl::Duration timeout, int max_events);
  // Of a job that is done.
  PartitionRestore TakeResult() { return std::move(restore_); }
  // What share of it was read, in [0, 1]. From any thread.
  double progress() const {
    const int64_t total = total_;
    return total == 0 ? 0 : static_cast<double>(passed_) / static_cast<double>(total);
  }

 private:
  struct Piece {
    Offset at{};
    Offset end{};
  };
  absl::Status Begin();
  void Pass(Piece& piece, Offset position);

  EventLog& log_;
  const PartitionSettings& settings_;
  const PartitionId partition_;
  PartitionRestore restore_;
  std::unique_ptr<LogReader> reader_;       // While there is something to read.
  std::map<TopicPartition, Piece> behind_;  // What is still to be read.
  std::atomic<int64_t> passed_ = 0;         // Offsets.
  std::atomic<int64_t> total_ = 0;
};

// Restores partitions side by side while others flow: each on a thread of its own, as many at a time as it was given.
//
// Threads: one thread calls it. With threads it uses `log` from others, each with a reader of its own; a partition that
// is
//          cancelled lets its thread go at the next piece, and the destructor waits for all of them.
class Restorer {
 public:
  // `log` and `settings` are borrowed and must outlive this. `threads` >= 0; 0: everything happens within Poll, a piece
  // a call and partition.
  Restorer(EventLog& log, const PartitionSettings& settings, int threads)
      : log_(log), settings_(settings), threads_(threads) {}
  ~Restorer();

  // Begins (anew) with a partition that was just assigned, whose users may take about so much memory.
  void Begin(PartitionId partition, int64_t budget_bytes);
  void Cancel(PartitionId partition);
  bool idle() const { return jobs_.empty(); }
  // Of a partition that is being restored: what share of it was read, in [0, 1].
  double Progress(PartitionId partition) const;

  // Goes on, waiting at most `timeout` for something to come of it; the partitions that are done, which are forgotten
  // here. A failure comes when nothing is done, and the partition that it befell begins anew with the next call. DataLoss:
  // a record of the state is unreadable. Internal: the local store failed to give a user back.
  absl::StatusOr<std::vector<std::pair<PartitionId, PartitionRestore>>> Poll(absl::Duration timeout, int max_events);

 private:
  struct Task {
    Task(EventLog& log, const PartitionSettings& settings, PartitionId partition, int64_t budget)
        : budget_bytes(budget), job(log, settings, partition, budget) {}
    bool ended() const { return stage == Stage::kEnded; }

    enum class Stage { kWaiting, kRunning, kEnded };
    const int64_t budget_bytes;
    RestoreJob job;
    std::atomic<Stage> stage = Stage::kWaiting;
    std::atomic<bool> cancelled = false;
    absl::Status failure;  // Of one that ended.
    std::thread thread;
  };

  void StartSome(int max_events);
  void Run(Task& task, int max_events);
  void RunPieces(absl::Duration timeout, int max_events);
  void DropEndedThreads();

  EventLog& log_;
  const PartitionSettings& settings_;
  const int threads_;
  std::map<PartitionId, std::unique_ptr<Task>> jobs_;
  std::vector<std::unique_ptr<Task>> cancelled_;  // Whose threads have not ended yet.
  Mutex mutex_;
  CondVar ended_;
  int ends_ ABSL_GUARDED_BY(mutex_) = 0;  // Tasks that ended since Poll looked.
};

}  // namespace tributary::speed

#endif  // TRIBUTARY_SPEED_LAYER_RESTORER_H_
