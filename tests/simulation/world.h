#ifndef TRIBUTARY_TESTS_SIMULATION_WORLD_H_
#define TRIBUTARY_TESTS_SIMULATION_WORLD_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "common/event_log/topics.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_event_log.h"
#include "tests/simulation/batch_job.h"
#include "tests/simulation/checker.h"
#include "tests/simulation/plan.h"
#include "tests/simulation/replica.h"
#include "tests/simulation/snapshot_copy.h"
#include "tests/simulation/speed_fleet.h"
#include "tests/simulation/step.h"
#include "tests/simulation/truth.h"

namespace tributary::simulation {

// What a run came to.
struct Tally {
  int64_t events = 0;
  int64_t faults = 0;
  int64_t batches = 0;  // That made a snapshot.
  int64_t swaps = 0;
  int64_t rollbacks = 0;
  int64_t answers = 0;  // That were checked.
  int64_t quiet_points = 0;
};

// A broker, producers, the three layers and their machines, in one thread. Replica 0 shares the batch layer's directory,
// the other has a copy.
class World {
 public:
  // `dir` must be empty.
  explicit World(const std::string& dir);

  // Does the steps one after the other. The first check that fails ends it: see checker.h.
  absl::Status Run(std::vector<Step> steps);
  Tally tally() const;
  // How many of the steps were begun.
  size_t steps_done() const { return next_; }

 private:
  // tests/simulation/faults.cc
  absl::Status DoFault(const Step& step);
  std::string TopicOf(int64_t number) const;
  TopicPartition PartitionOf(const Step& step) const;
  void Fail(const Step& step);
  void Truncate(const Step& step);
  void AddPartition();

  // tests/simulation/quiet_point.cc
  absl::Status QuietPoint();
  void Heal();
  void LetTimePass(absl::Duration time);
  absl::Status SettleSpeed();
  std::string WhatSpeedLacks();  // To be at rest; empty: nothing.
  absl::Status SettleReplica(int number);
  absl::Status CheckSpeed();
  absl::Status CheckFloors();
  absl::Status CheckFollowed(const Replica& replica);

  absl::Status Do(const Step& step);
  // Of a partition, committed.
  v1::Progress LastProgress(int partition) const;
  // The steps that a batch run lets happen between its own.
  void DoSome(int64_t steps);
  absl::Status RunBatch(const Step& step);
  void Publish(const Step& step);
  void PublishInTransaction(const Step& step);
  // Answers whether it is there for sure.
  bool Put(const std::string& topic, const std::string& key, std::optional<std::string> value);
  absl::Status Change(const Step& step);

  v1::Config config_;
  FakeClock broker_clock_;
  std::array<FakeClock, kMachines> clocks_;
  FakeEventLog log_{broker_clock_};
  const Topics topics_{""};
  int partitions_ = kPartitions;
  Truth truth_;
  Checker checker_;
  std::unique_ptr<LogProducer> producer_;
  std::map<int, std::unique_ptr<TransactionalProducer>> transactions_;  // Left open.
  int transaction_ids_ = 0;
  SpeedFleet speed_;
  BatchJob batch_;
  std::vector<std::unique_ptr<Replica>> replicas_;
  std::vector<std::unique_ptr<SnapshotCopy>> copies_;  // By replica; the first has none.

  std::vector<Step> steps_;
  size_t next_ = 0;
  absl::Status failure_;
  Tally tally_;
};

}  // namespace tributary::simulation

#endif  // TRIBUTARY_TESTS_SIMULATION_WORLD_H_
