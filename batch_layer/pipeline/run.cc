#include "batch_layer/pipeline/run.h"

#include <glog/logging.h>
#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "batch_layer/evaluation/ranking_metrics.h"
#include "batch_layer/gate/gate.h"
#include "batch_layer/gate/judge_snapshot.h"
#include "batch_layer/pipeline/build_info.h"
#include "batch_layer/pipeline/dataset.h"
#include "batch_layer/pipeline/lifecycle.h"
#include "batch_layer/pipeline/memory.h"
#include "batch_layer/pipeline/novelty.h"
#include "batch_layer/pipeline/run_catalogue.h"
#include "batch_layer/pipeline/run_world.h"
#include "batch_layer/pipeline/views.h"
#include "common/dense/dense.h"
#include "common/event_log/topics.h"
#include "common/snapshot/gate_verdict.h"
#include "common/snapshot/snapshot.h"
#include "common/status/status_macros.h"
#include "glog/logging.h"

namespace tributary::batch {
namespace {

constexpr int64_t kPreviousCacheBytes = int64_t{32} << 20;
constexpr int64_t kSpansOfRetention = 8;      // A merged file keeps its oldest event at most so much longer.

void SetTime(int64_t unix_ms, google::protobuf::Timestamp* timestamp) {
  const int64_t seconds = unix_ms >= 0 ? unix_ms / 1000 : -((999 - unix_ms) / 1000);
  timestamp->set_seconds(seconds);
  timestamp->set_nanos(static_cast<int32_t>((unix_ms - seconds * 1000) * 1'000'000));
}

// How long the history keeps events; zero: for ever.
absl::Duration Retention(const v1::BatchConfig& config) { return absl::Hours(24) * config.history().retention_days(); }

// What decides the content: all of the batch layer's configuration but where and how fast it runs.
std::string ConfigDigest(const v1::Config& config) {
  v1::Config relevant;
  *relevant.mutable_batch() = config.batch();
  relevant.mutable_batch()->clear_threads();
  relevant.mutable_batch()->clear_retained_generations();
  relevant.mutable_batch()->clear_retained_refused();
  relevant.mutable_batch()->clear_late_events_for_run();
  relevant.mutable_batch()->clear_late_run_gap_seconds();
  relevant.mutable_batch()->clear_retire_grace_seconds();
  relevant.mutable_batch()->clear_gate();
  relevant.mutable_batch()->clear_history();
  if (const int32_t days = config.batch().history().retention_days(); days > 0) {
    relevant.mutable_batch()->mutable_history()->set_retention_days(days);
  }
  relevant.mutable_batch()->clear_memory_budget_bytes();
  *relevant.mutable_merge() = config.merge();  // Lists are measured, and the blend is weighed, as merge serves them.
  const std::string bytes = relevant.SerializeAsString();
  return absl::StrFormat("%016x", XXH64(bytes.data(), bytes.size(), 0));
}

std::set<Generation> GenerationsOfExperiments(const v1::Config& config) {
  std::set<Generation> generations;
  for (const v1::Experiment& experiment : config.serving().experiments()) {
    for (const v1::ExperimentBucket& bucket : experiment.buckets()) {
      if (bucket.generation() != 0) {
        generations.insert(Generation{bucket.generation()});
      }
    }
  }
  return generations;
}

class BatchRun {
 public:
  BatchRun(const v1::Config& config, const RunOptions& options, History& history, EventLog* log, const Clock& clock)
      : config_(config),
        options_(options),
        history_(history),
        log_(log),
        clock_(clock),
        topics_(config.kafka().topic_prefix()),
        store_(config.storage().snapshots_dir()),
        lifecycle_(
            store_, log, clock,
            {.topic = topics_.snapshots,
             .retained = {.good = config.batch().retained_generations(), .refused = config.batch().retained_refused()},
             .kept = GenerationsOfExperiments(config),
             .retire_grace = absl::Seconds(config.batch().retire_grace_seconds()),
             .sleep = options.sleep,
             .read = Read()}) {}

  absl::StatusOr<RunReport> Run() {
    TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<FileLock> lock, store_.LockForRun());
    TRIBUTARY_RETURN_IF_ERROR(FinishDeadRuns());
    TRIBUTARY_RETURN_IF_ERROR(Step("history", [this] { return ReadHistory(); }));
    TRIBUTARY_RETURN_IF_ERROR(Step("forget", [this] { return Forget(); }));
    if (Retention(config_.batch()) > absl::ZeroDuration()) {
      TRIBUTARY_RETURN_IF_ERROR(Step("retention", [this] { return RemoveExpired(); }));
    }
    TRIBUTARY_RETURN_IF_ERROR(Step("catalogue", [this] { return ReadCatalogue(); }));
    TRIBUTARY_RETURN_IF_ERROR(Step("memory", [this] { return Plan(); }));
    TRIBUTARY_RETURN_IF_ERROR(Step("events", [this] { return ReadEvents(); }));
    TRIBUTARY_RETURN_IF_ERROR(Step("models", [this] { return Compute(); }));
    TRIBUTARY_RETURN_IF_ERROR(Step("snapshot", [this] { return Write(); }));
    TRIBUTARY_RETURN_IF_ERROR(Step("gate", [this] { return PassGate(); }));
    if (options_.activate && report_.verdict.outcome() != v1::GateVerdict::REFUSED) {
      TRIBUTARY_RETURN_IF_ERROR(Step("activate", [this] { return Activate(); }));
    }
    TRIBUTARY_RETURN_IF_ERROR(Step("generations", [this] { return Settle(); }));
    // Last: no snapshot waits for it.
    if (const CompactionLimits limits = CompactionLimitsOf(config_.batch());
        !PlanCompaction(history_.manifest(), limits).empty()) {
      TRIBUTARY_RETURN_IF_ERROR(Step("compaction", [&] { return CompactHistory(limits); }));
    }
    return std::move(report_);
  }

 private:
  using Result = absl::StatusOr<std::string>;    // For people.

  template <typename Work>
  absl::Status Step(absl::string_view name, Work work) {
    if (options_.stopped()) {
      return absl::CancelledError(absl::StrCat("stopped before a step: step=", name));
    }
    const absl::Time begin = clock_.Now();
    TRIBUTARY_ASSIGN_OR_RETURN(const std::string result, work());
    if (options_.on_step) {
      options_.on_step(name, clock_.Now() - begin, result);
    }
    return absl::OkStatus();
  }

  // What runs that were killed left: half a directory goes; a generation that was never judged is judged now, before it
  // counts as good in retention and as something to roll back to. Those before the current one are history: they stay
  // as they are.
  absl::Status FinishDeadRuns() {
    TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<std::string> removed, store_.RemoveLeftovers());
    for (const std::string& name : removed) {
      LOG(INFO) << "snapshots: left by a killed run, removed: directory=" << name;
    }
    TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<v1::SnapshotManifest> manifests, store_.List());
    const Generation current = store_.Current().value_or(Generation{0});
    for (const v1::SnapshotManifest& manifest : manifests) {
      const Generation generation{manifest.generation()};
      if (generation <= current || ReadGateVerdict(store_.dir(), generation).ok()) {
        continue;
      }
      TRIBUTARY_ASSIGN_OR_RETURN(const v1::GateVerdict verdict, Judge(generation));
      TRIBUTARY_RETURN_IF_ERROR(WriteGateVerdict(store_.dir(), verdict));
      LOG(INFO) << "snapshots: left by a killed run, judged: generation=" << Value(generation)
                << " outcome=" << v1::GateVerdict::Outcome_Name(verdict.outcome()) << " " << Describe(verdict);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<v1::GateVerdict> Judge(Generation generation) const {
    TRIBUTARY_ASSIGN_OR_RETURN(v1::GateVerdict verdict, JudgeSnapshot(store_, generation, config_.batch().gate()));
    SetTime(absl::ToUnixMillis(clock_.Now()), verdict.mutable_judged());
    return verdict;
  }

  ReadOptions Read() const {
    return {Isolation::kCommitted, options_.poll_timeout, options_.max_idle_polls, options_.stopped};
  }

  Result ReadHistory() {
    int64_t accepted = 0, rejected = 0, duplicates = 0, lost = 0;
    if (log_ != nullptr) {
      KafkaRangeOptions range;
      range.topic = topics_.events;
      range.poll_timeout = options_.poll_timeout;
      range.max_idle_polls = options_.max_idle_polls;
      range.stopped = options_.stopped;
      range.on_progress = options_.on_progress;
      TRIBUTARY_ASSIGN_OR_RETURN(report_.partitions, ReadKafkaRange(*log_, range, history_));
      for (const PartitionReport& partition : report_.partitions) {
        accepted += partition.accepted;
        rejected += partition.rejected;
        duplicates += partition.duplicates;
        lost += partition.lost;
      }
    }
    for (const v1::HistorySegment& segment : history_.manifest().segments()) {
      if (segment.partition() != Value(kImportPartition)) {
        const PartitionId partition{segment.partition()};
        watermarks_[partition] = history_.End(partition);
      }
    }
    for (const v1::HistoryGap& gap : history_.manifest().gaps()) {
      watermarks_[PartitionId{gap.partition()}] = history_.End(PartitionId{gap.partition()});
    }
    return log_ == nullptr ? "without Kafka: the history as it is"
                           : absl::StrFormat("%d new events, %d rejected, %d duplicates, %d lost to retention", accepted,
                                             rejected, duplicates, lost);
  }

  Result Forget() {
    std::set<PartitionId> exhausted;
    for (const PartitionReport& partition : report_.partitions) {
      if (partition.exhausted) {
        exhausted.insert(partition.partition);
      }
    }
    TRIBUTARY_ASSIGN_OR_RETURN(
        const ForgetReport report,
        history_.Forget(exhausted, absl::ToUnixMillis(clock_.Now()), options_.stopped));
    return Describe(report);
  }

  Result RemoveExpired() {
    TRIBUTARY_ASSIGN_OR_RETURN(const ExpiryReport report,
                               history_.RemoveExpired(Retention(config_.batch()), clock_.Now()));
    return Describe(report);
  }

  Result ReadCatalogue() {
    TRIBUTARY_ASSIGN_OR_RETURN(catalogue_, ReadRunCatalogue(history_, log_, topics_, Read()));
    TRIBUTARY_ASSIGN_OR_RETURN(const std::string file, history_.PutCatalogue(ToEntries(catalogue_)));
    return absl::StrFormat("%d items, %d users, %d rules (%s)", catalogue_.items.size(), catalogue_.users.size(),
                           catalogue_.rules.size(), file);
  }

  // From what the manifests say, before anything is taken.
  Result Plan() {
    const RunSize size = ExpectedSize();
    TRIBUTARY_ASSIGN_OR_RETURN(const MemoryPlan plan, PlanMemory(size, config_.batch()));
    events_in_memory_ = options_.events_in_memory > 0 ? options_.events_in_memory : plan.events_in_memory;
    return absl::StrFormat("about %.2f GiB for %d events%s", static_cast<double>(plan.bytes) / (1 << 30), size.events,
                           static_cast<uint64_t>(size.events) <= events_in_memory_ ? "" : ", which go through the disk");
  }

  // Counts as they were in the newest snapshot, grown like the events; without one as many users as public data sets
  // have (10 to 150 events each), an observation an event, a session two events, and no items: what models take for
  // them is seen when they are known.
  RunSize ExpectedSize() const {
    RunSize size;
    for (const v1::HistorySegment& segment : history_.manifest().segments()) {
      size.events += segment.events();
    }
    size.users = size.events / 50;
    size.sessions = size.events / 2;
    size.observations = std::llround(static_cast<double>(size.events) * config_.batch().learn_user_share());
    if (const auto snapshots = store_.List(); snapshots.ok() && !snapshots->empty() && snapshots->back().events() > 0) {
      const v1::SnapshotManifest& last = snapshots->back();
      const double growth = static_cast<double>(size.events) / static_cast<double>(last.events());
      size.users = std::llround(static_cast<double>(last.users()) * growth);
      size.items = std::llround(static_cast<double>(last.items()) * std::max(1.0, growth));
      if (last.observations() > 0) {
        size.observations = std::llround(static_cast<double>(last.observations()) * growth);
        size.sessions = std::llround(static_cast<double>(last.events() - last.sessions()) * growth);
      }
    }
    return size;
  }

  Result ReadEvents() {
    EventStore::Options events;
    events.in_memory = events_in_memory_;
    events.expected = static_cast<size_t>(ExpectedSize().events);
    events.dir = store_.dir() + "/events.partial";
    std::error_code ignored;
    std::filesystem::remove_all(events.dir, ignored);     // Of a run that was killed, should this one not need it.
    TRIBUTARY_ASSIGN_OR_RETURN(dataset_,
                               ReadDataset(history_, catalogue_, config_.kafka().segment_size(), std::move(events)));
    return absl::StrFormat("%d events of %d users and %d items", dataset_.accepted_events, dataset_.users.size(),
                           dataset_.items.size());
  }

  Result Compute() {
    TRIBUTARY_ASSIGN_OR_RETURN(const RunWorld world, RunWorld::Create(dataset_, catalogue_, config_.merge()));
    TRIBUTARY_ASSIGN_OR_RETURN(views_, ComputeViews(dataset_, catalogue_, config_, world.world()));
    AddNovelty(world.world());
    const RunSize size = LearnedSize();
    return absl::StrFormat(
        "learned from %d users (%d observations, about %.2f GiB), %d new items placed, %d popularity lists, %d "
        "sessions%s",
        views_.learned_users.size(), size.observations,
        static_cast<double>(LearningBytes(size, config_.batch())) / (1 << 30), views_.new_items, views_.popular.size(),
        views_.sessions, Validation());
  }

  // When the models are there.
  RunSize LearnedSize() const {
    return {.events = dataset_.accepted_events,
            .users = static_cast<int64_t>(dataset_.users.size()),
            .items = static_cast<int64_t>(dataset_.items.size()),
            .observations = views_.learned.has_value() ? static_cast<int64_t>(views_.learned->matrix.entries()) : 0,
            .sessions = views_.session_index.index().sessions()};
  }

  // A current snapshot that cannot be read is the gate's business.
  void AddNovelty(const ServingWorld& world) {
    const absl::StatusOr<Generation> current = store_.Current();
    if (!current.ok()) {
      return;
    }
    const auto previous =
        SnapshotReader::Open(store_.dir(), *current, SnapshotReader::Verify::kManifest, kPreviousCacheBytes);
    const absl::StatusOr<std::optional<double>> novelty =
        previous.ok() ? NoveltyToPrevious(dataset_, views_, world, **previous, config_.batch()) : previous.status();
    if (!novelty.ok()) {
      LOG(WARNING) << "not compared with the current snapshot: " << novelty.status().message();
    } else if (novelty->has_value()) {
      v1::QualityMetric& metric = views_.learned->metrics.emplace_back();
      metric.set_name(absl::StrCat(kNoveltyToPrevious, "_at_", kValidationLength));
      metric.set_value(**novelty);
    }
  }

  // What the validation slice said, for people.
  std::string Validation() const {
    if (!views_.learned.has_value() || views_.learned->metrics.empty()) {
      return "";
    }
    std::string text = absl::StrFormat("; validation, %.1f ials + %.1f %s:", views_.learned->ials_weight,
                                       1 - views_.learned->ials_weight, views_.learned->item_item_name);
    for (const v1::QualityMetric& metric : views_.learned->metrics) {
      if (metric.model().empty()) {
        absl::StrAppendFormat(&text, " %s %.4f", metric.name(), metric.value());
      }
    }
    return text;
  }

  Result Write() {
    TRIBUTARY_ASSIGN_OR_RETURN(const Generation generation, lifecycle_.NextGeneration());
    TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<SnapshotWriter> writer,
                               SnapshotWriter::Create(store_.dir(), generation));
    std::map<PartitionId, Offset> offsets;
    for (const auto& [partition, end] : watermarks_) {
      offsets[partition] = end.offset;
    }
    TRIBUTARY_RETURN_IF_ERROR(WriteViews(dataset_, views_, config_, offsets, *writer));
    v1::SnapshotManifest manifest = Manifest(generation);
    // From here on the snapshot's files are looked at, and there is no need for more.
    views_ = Views();
    dataset_ = Dataset();
    TRIBUTARY_ASSIGN_OR_RETURN(report_.manifest, writer->Finish(std::move(manifest)));
    return absl::StrFormat("generation %d, digest %s", report_.manifest.generation(), report_.manifest.content_digest());
  }

  v1::SnapshotManifest Manifest(Generation generation) const {
    v1::SnapshotManifest manifest;
    manifest.set_generation(Value(generation));
    SetTime(absl::ToUnixMillis(clock_.Now()), manifest.mutable_created());
    for (const auto& [partition, end] : watermarks_) {
      v1::PartitionWatermark* const watermark = manifest.add_watermarks();
      watermark->set_partition(Value(partition));
      watermark->set_watermark(Value(end.offset));
      watermark->set_record_time_unix_ms(end.record_time_unix_ms);
    }
    manifest.set_segment_size(config_.kafka().segment_size());
    manifest.set_events_topic(topics_.events);
    *manifest.mutable_imports() = history_.manifest().imports();
    manifest.set_events(dataset_.accepted_events);
    manifest.set_users(static_cast<int64_t>(dataset_.users.size()));
    manifest.set_items(static_cast<int64_t>(dataset_.items.size()));
    manifest.set_sessions(views_.sessions);
    manifest.set_observations(LearnedSize().observations);
    if (dataset_.accepted_events > 0) {
      SetTime(dataset_.first_event_time_unix_ms, manifest.mutable_first_event_time());
      SetTime(dataset_.last_event_time_unix_ms, manifest.mutable_last_event_time());
    }
    manifest.set_config_digest(ConfigDigest(config_));
    manifest.set_code_version(std::string(CodeVersion()));
    manifest.set_instruction_set(dense::Best().instruction_set);
    manifest.set_seed(config_.batch().seed());
    manifest.add_more_measures(v1::BY_BUCKET);
    v1::PopularityMeasure* const popularity = manifest.mutable_popularity();
    *popularity->mutable_kind_weights() = config_.batch().kind_weights();
    popularity->set_half_life_days(config_.batch().popularity_half_life_days());
    popularity->set_reference_unix_ms(dataset_.last_event_time_unix_ms);
    if (views_.learned.has_value()) {
      const Learned& learned = *views_.learned;
      *manifest.mutable_metrics() = {learned.metrics.begin(), learned.metrics.end()};
      for (const auto& [source, weight] : {std::pair<std::string, double>{"ials", learned.ials_weight},
                                           {learned.item_item_name, 1 - learned.ials_weight}}) {
        v1::SourceWeight* const entry = manifest.add_source_weights();
        entry->set_source(source);
        entry->set_weight(weight);
      }
      v1::FoldIn* const fold_in = manifest.mutable_fold_in();
      if (learned.live.has_value()) {
        for (const auto& [source, weight] :
             {std::pair<std::string, double>{"session", learned.live->session}, {"newcomer", learned.live->newcomer}}) {
          v1::SourceWeight* const entry = manifest.add_source_weights();
          entry->set_source(source);
          entry->set_weight(weight);
        }
        fold_in->set_folded_share(learned.live->folded_share);
      }
      *fold_in->mutable_kind_weights() = config_.batch().kind_weights();
      fold_in->set_dislike_rating_at_most(config_.merge().dislike_rating_at_most());
      if (views_.learned_since_unix_ms) {
        fold_in->set_since_unix_ms(*views_.learned_since_unix_ms);
      }
      fold_in->set_list_length(config_.batch().list_length());
    }
    return manifest;
  }

  Result PassGate() {
    TRIBUTARY_ASSIGN_OR_RETURN(report_.verdict, Judge(Generation{report_.manifest.generation()}));
    const bool refused = report_.verdict.outcome() == v1::GateVerdict::REFUSED;
    if (refused && options_.force && report_.verdict.damage().empty()) {
      report_.verdict.set_outcome(v1::GateVerdict::FORCED);
    }
    TRIBUTARY_RETURN_IF_ERROR(WriteGateVerdict(store_.dir(), report_.verdict));
    if (!report_.verdict.damage().empty()) {
      return absl::DataLossError(absl::StrCat("new snapshot cannot be read back: ", report_.verdict.damage()));
    }
    return absl::StrCat(absl::AsciiStrToLower(v1::GateVerdict::Outcome_Name(report_.verdict.outcome())), ": ",
                        Describe(report_.verdict));
  }

  Result Activate() {
    TRIBUTARY_RETURN_IF_ERROR(store_.Activate(Generation{report_.manifest.generation()}));
    report_.activated = true;
    return absl::StrFormat("generation %d is current", report_.manifest.generation());
  }

  Result Settle() {
    TRIBUTARY_ASSIGN_OR_RETURN(report_.removed, lifecycle_.Settle());
    return absl::StrFormat("%d old ones deleted", report_.removed.size());
  }

  Result CompactHistory(const CompactionLimits& limits) {
    TRIBUTARY_ASSIGN_OR_RETURN(const CompactionReport report, history_.Compact(limits, options_.stopped));
    return Describe(report);
  }

  const v1::Config& config_;
  const RunOptions& options_;
  History& history_;
  EventLog* const log_;
  const Clock& clock_;
  const Topics topics_;
  SnapshotStore store_;
  SnapshotLifecycle lifecycle_;

  std::map<PartitionId, PartitionEnd> watermarks_;
  RunCatalogue catalogue_;
  size_t events_in_memory_ = 0;
  Dataset dataset_;
  Views views_;
  RunReport report_;
};

}  // namespace

CompactionLimits CompactionLimitsOf(const v1::BatchConfig& config) {
  return {.file_bytes = config.history().compact_file_bytes(),
          .min_files = config.history().compact_files(),
          .span = Retention(config) / kSpansOfRetention};
}

absl::StatusOr<RunReport> RunBatch(const v1::Config& config, const RunOptions& options, History& history, EventLog* log,
                                   const Clock& clock) {
  return BatchRun(config, options, history, log, clock).Run();
}

}  // namespace tributary::batch
