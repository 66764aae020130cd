#ifndef TRIBUTARY_TESTS_SIMULATION_BATCH_JOB_H_
#define TRIBUTARY_TESTS_SIMULATION_BATCH_JOB_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "batch_layer/history/history.h"
#include "batch_layer/pipeline/run.h"
#include "common/snapshot/snapshot.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_event_log.h"
#include "tests/simulation/truth.h"

namespace tributary::simulation {

// The batch layer as cron would call it: every run a new process over the same directories, on a real file system.
class BatchJob {
 public:
  BatchJob(FakeEventLog& log, const FakeClock& clock, v1::Config config, Truth& truth);

  struct RunOptions {
    std::function<void()> between_steps;      // After each step, and while it waits.
    int64_t stop_at = 0;                      // Stopped when it asks for the so-manyth time; 0: never.
    std::optional<int64_t> disk_bytes;        // No file grows beyond this.
    size_t events_in_memory = 0;              // More go through the disk; 0: all in memory.
  };
  // What came of the run. Aborted: another one is at work.
  absl::StatusOr<batch::RunReport> Run(const RunOptions& options);
  bool running() const { return running_ > 0; }

  // AlreadyExists: the file is in. Aborted as above.
  absl::Status Import(int64_t file);
  // Names the so-manyth newest generation in CURRENT. NotFound: there are fewer.
  absl::Status Activate(int64_t age);
  // Directories and files that a killed run would have left.
  void LeaveLeftovers();
  // What CURRENT names, or nothing yet; remembers it as activated.
  std::optional<Generation> Current();

  // What the history still has with its person after the last run, of what it had to let go of if a FORGET hides it: imports,
  // and what is older than the ids that repeats are known by.
  const std::vector<KeptEvent>& kept() const { return kept_; }

  const SnapshotStore& store() const { return store_; }
  // Offset from which the history has not read the partition.
  Offset HistoryEnd(PartitionId partition) const;

 private:
  absl::StatusOr<std::unique_ptr<batch::History>> OpenHistory() const;
  absl::Status ReadKept(batch::History& history);

  FakeEventLog& log_;
  const FakeClock& clock_;
  const v1::Config config_;
  Truth& truth_;
  SnapshotStore store_;
  int running_ = 0;
  std::vector<KeptEvent> kept_;
  std::map<PartitionId, Offset> history_ends_;  // As of the last run that told.
};

}  // namespace tributary::simulation

#endif  // TRIBUTARY_TESTS_SIMULATION_BATCH_JOB_H_
