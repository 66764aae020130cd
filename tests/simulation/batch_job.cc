#include "tests/simulation/batch_job.h"

#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <utility>
#include <variant>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/event/event.h"
#include "common/snapshot/canary.h"
#include "common/status/status_macros.h"
#include "glog/logging.h"
#include "tests/simulation/plan.h"

namespace tributary::simulation {
namespace {

// Files of this process cannot grow beyond `bytes` while it lives.
class FullDisk {
 public:
  explicit FullDisk(int64_t bytes) {
    CHECK_EQ(getrlimit(RLIMIT_FSIZE, &before_), 0);
    struct rlimit limit = before_;
    limit.rlim_cur = static_cast<rlim_t>(bytes);
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  }
  ~FullDisk() { CHECK_EQ(setrlimit(RLIMIT_FSIZE, &before_), 0); }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  struct rlimit before_ {};
};

}  // namespace

BatchJob::BatchJob(FakeEventLog& log, const FakeClock& clock, v1::Config config, Truth& truth)
    : log_(log),
      clock_(clock),
      config_(std::move(config)),
      truth_(truth),
      store_(config_.storage().snapshots_dir()) {
  std::filesystem::create_directories(store_.dir());
}

absl::StatusOr<std::unique_ptr<batch::History>> BatchJob::OpenHistory() const {
  return batch::History::Open({.dir = config_.storage().history_dir(),
                               .events_topic = "events",
                               .segment_size = config_.kafka().segment_size()});
}

absl::StatusOr<batch::RunReport> BatchJob::Run(const RunOptions& options) {
  std::optional<FullDisk> full;
  if (options.disk_bytes) full.emplace(*options.disk_bytes);
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<batch::History> history, OpenHistory());
  ++running_;
  const absl::Cleanup done = [this] { --running_; };
  int64_t asked = 0;
  batch::RunOptions run;
  run.stopped = [&] { return options.stop_at > 0 && ++asked >= options.stop_at; };
  run.on_step = [&](absl::string_view, absl::Duration, absl::string_view) { options.between_steps(); };
  run.sleep = [&](absl::Duration) { options.between_steps(); };
  run.poll_timeout = absl::ZeroDuration();
  run.max_idle_polls = 3;
  run.events_in_memory = options.events_in_memory;
  absl::StatusOr<batch::RunReport> report = batch::RunBatch(config_, run, *history, &log_, clock_);
  for (int partition = 0; partition < kMaxPartitions; ++partition) {
    history_ends_[PartitionId{partition}] = history->End(PartitionId{partition}).offset;
  }
  Current();
  if (report.ok()) TRIBUTARY_RETURN_IF_ERROR(ReadKept(*history));
  return report;
}

absl::Status BatchJob::ReadKept(batch::History& history) {
  kept_.clear();
  batch::HistoryScan users;
  users.columns.user_id = true;
  return history.Scan(users, [&](const batch::HistoryEvent& row) {
    const PartitionId partition = row.position.partition;
    const bool due = partition == kImportPartition ||
                     history.End(partition).record_time_unix_ms - row.record_time_unix_ms > kDedupWindowMs;
    if (due && !row.event.user_id.empty()) {
      kept_.push_back({row.event.user_id, row.event.event_time_unix_ms, {Value(partition), Value(row.position.offset)}});
    }
    return absl::OkStatus();
  });
}

absl::Status BatchJob::Import(int64_t file) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<batch::History> history, OpenHistory());
  const auto checksum = static_cast<uint64_t>(file) + 1;
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<batch::HistoryImport> import,
                             history->BeginImport(checksum, absl::StrCat("file-", file)));
  const std::vector<std::string> values = ImportFile(file);
  std::vector<batch::HistoryEvent> events;
  for (size_t line = 0; line < values.size(); ++line) {
    std::variant<Event, Rejection> parsed = ParseEvent(values[line], kBegin);
    if (!std::holds_alternative<Event>(parsed)) continue;
    const int64_t time = std::get<Event>(parsed).event_time_unix_ms;
    const Offset offset{(import->ordinal() << kImportLineBits) + static_cast<int64_t>(line)};
    events.push_back({{kImportPartition, offset}, time, std::get<Event>(std::move(parsed))});
  }
  TRIBUTARY_RETURN_IF_ERROR(import->Append(events));
  TRIBUTARY_RETURN_IF_ERROR(import->Commit(0, {}));
  truth_.AddImport(import->ordinal(), values);
  return absl::OkStatus();
}

absl::Status BatchJob::Activate(int64_t age) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<v1::SnapshotManifest> manifests, store_.List());
  if (age >= static_cast<int64_t>(manifests.size())) return absl::NotFoundError("not so many generations");
  const Generation generation{manifests[manifests.size() - 1 - static_cast<size_t>(age)].generation()};
  TRIBUTARY_RETURN_IF_ERROR(store_.Activate(generation));
  truth_.activated.insert(Value(generation));
  // Half of the users see the newest other one, every second time. Nothing is drawn for it.
  const auto newest_other = std::find_if(manifests.rbegin(), manifests.rend(), [&](const v1::SnapshotManifest& manifest) {
    return manifest.generation() != Value(generation);
  });
  if (Value(generation) % 2 == 0 && newest_other != manifests.rend()) {
    v1::Canary canary;
    canary.set_generation(newest_other->generation());
    canary.set_percent(50);
    TRIBUTARY_RETURN_IF_ERROR(StartCanary(store_, canary).status());
  }
  return absl::OkStatus();
}

std::optional<Generation> BatchJob::Current() {
  const absl::StatusOr<Generation> current = store_.Current();
  if (!current.ok()) return std::nullopt;
  truth_.activated.insert(Value(*current));
  return *current;
}

Offset BatchJob::HistoryEnd(PartitionId partition) const {
  const auto end = history_ends_.find(partition);
  return end == history_ends_.end() ? Offset{0} : end->second;
}

void BatchJob::LeaveLeftovers() {
  if (running()) return;
  const int64_t next = truth_.activated.empty() ? 1 : *truth_.activated.rbegin() + 1;
  const std::string history = config_.storage().history_dir();
  for (const std::string& path :
       {absl::StrCat(store_.dir(), "/", next, ".partial/db/000007.sst"),
        absl::StrCat(store_.dir(), "/", next + 1, ".partial/items.bin"), absl::StrCat(store_.dir(), "/CURRENT.tmp"),
        absl::StrCat(history, "/events/0-0-9.parquet"), absl::StrCat(history, "/MANIFEST.json.tmp")}) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path) << "half a file";
  }
}

}  // namespace tributary::simulation
