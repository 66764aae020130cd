#include <google/protobuf/util/message_differencer.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "batch_layer/history/catalogue_file.h"
#include "batch_layer/history/expiry.h"
#include "batch_layer/history/files.h"
#include "batch_layer/history/forgotten_users.h"
#include "batch_layer/history/history.h"
#include "batch_layer/history/history_manifest.h"
#include "batch_layer/history/parquet_file.h"
#include "common/event/user_digest.h"
#include "common/process/file_lock.h"
#include "common/status/status_macros.h"
#include "glog/logging.h"

// The directory of a history:
//   HISTORY.json                      the manifest, replaced atomically after the files that it names are synced
//   LOCK                              held by the process that has it open
//   events/p3-1024-2048.parquet       partition 3, offsets [1024, 2048)
//   events/import-7-0.parquet         piece 0 of the import with ordinal 7
//   events/r12-p3-0-4096.parquet      in place of other files, the 12th that was: partition 3, offsets [0, 4096)
//   catalogues/<xxh64>.catalogue.gz   items of imports, and catalogues as runs read them
// Files that the manifest does not name are left from a process that died, and go at the next Open; catalogues stay.
namespace tributary::batch {
namespace {

namespace fs = std::filesystem;

constexpr char kManifestName[] = "HISTORY.json";
constexpr size_t kEventsPerFile = 1'000'000;      // Bounds the memory of one import and of one scan step.

std::string RewrittenName(int64_t rewrite, const v1::HistorySegment& segment) {
  const bool imports = segment.partition() == Value(kImportPartition);
  return absl::StrFormat("events/r%d-%s-%d-%d.parquet", rewrite, imports ? "imports" : absl::StrCat("p", segment.partition()),
                         segment.begin_offset(), segment.end_offset());
}

// Writes the events of one segment, and keeps what the manifest says of them. The record time of a topic's segment may be
// later than that of its last accepted event, and stays so.
class SegmentWriter {
 public:
  SegmentWriter(ParquetWriter& file, v1::HistorySegment* segment) : file_(file), segment_(segment) {
    segment->set_events(0);
    segment->set_forgets_listed(true);
  }
  absl::Status Append(const HistoryEvent& row) {
    segment_->set_events(segment_->events() + 1);
    segment_->set_record_time_unix_ms(std::max(segment_->record_time_unix_ms(), row.record_time_unix_ms));
    if (IsForget(row.event)) {
      segment_->set_forgets_listed(false);
    }
    return file_.Append(row);
  }
  // A FORGET whose person is still in it.
  static bool IsForget(const Event& event) { return event.type == v1::FORGET && !event.user_id.empty(); }

 private:
  ParquetWriter& file_;
  v1::HistorySegment* const segment_;
};

class ParquetHistory final : public History {
 public:
  explicit ParquetHistory(HistoryOptions options) : options_(std::move(options)) {}

  absl::Status Initialize();

  const v1::HistoryManifest& manifest() const override { return manifest_; }
  PartitionEnd End(PartitionId partition) const override { return EndOf(manifest_, partition); }
  bool HasImport(uint64_t xxh64) const override;
  absl::Status Append(const HistoryRange& range) override;
  absl::Status RecordGap(PartitionId partition, Offset to) override;
  absl::StatusOr<std::unique_ptr<HistoryImport>> BeginImport(uint64_t xxh64, const std::string& name) override;
  absl::Status Scan(const HistoryScan& scan, const std::function<absl::Status(const HistoryEvent&)>& visit) override;
  absl::StatusOr<CompactionReport> Compact(const CompactionLimits& limits, const std::function<bool()>& stopped) override;
  absl::StatusOr<ForgetReport> Forget(const std::set<PartitionId>& exhausted, int64_t now_unix_ms,
                                      const std::function<bool()>& stopped) override;
  absl::StatusOr<ExpiryReport> RemoveExpired(absl::Duration keep, absl::Time now) override;
  absl::StatusOr<std::vector<v1::Item>> ReadImportItems(int64_t ordinal) const override;
  absl::StatusOr<std::string> PutCatalogue(absl::Span<const v1::CatalogueEntry> entries) override;
  absl::StatusOr<std::vector<v1::CatalogueEntry>> ReadCatalogue(const std::string& file) const override;

  std::string Path(const std::string& file) const { return options_.dir + "/" + file; }
  // Writes one file of events and fills in what `segment` says of it: all but offsets and record time.
  absl::Status WriteSegment(const std::string& file, absl::Span<const HistoryEvent> events, v1::HistorySegment* segment);
  absl::Status WriteSegment(const std::string& file, const std::function<absl::Status(SegmentWriter&)>& write,
                            v1::HistorySegment* segment);
  // Makes `next` the manifest, on disk first.
  absl::Status Replace(v1::HistoryManifest next);

 private:
  absl::Status ReadManifest();
  absl::Status CheckFiles() const;
  absl::Status RemoveLeftovers() const;
  absl::Status Verify(const v1::HistorySegment& segment);
  // Puts one new file in the place of the segments `group`, then deletes theirs.
  absl::Status Merge(const std::vector<int>& group, CompactionReport* report);
  // Makes `next` the manifest, which names the file `added` in place of `gone`; then deletes these.
  absl::Status ReplaceFiles(v1::HistoryManifest next, const std::string& added, const std::vector<std::string>& gone);
  // Files that the manifest no longer names. What cannot be deleted now is at the next Open.
  void Delete(const std::vector<std::string>& files);
  absl::Status ReadSegment(const v1::HistorySegment& segment, const HistoryColumns& columns,
                           const std::function<absl::Status(const HistoryEvent&)>& visit);
  absl::Status ListForgets(ForgetReport* report);
  // Events of a partition with a record time below this need their person no more.
  int64_t DueBelow(PartitionId partition, const std::set<PartitionId>& exhausted, int64_t now_unix_ms) const;

  const HistoryOptions options_;
  std::unique_ptr<FileLock> lock_;
  v1::HistoryManifest manifest_;
  absl::flat_hash_set<std::string> verified_;     // Files whose checksum this object has seen to be right.
};

class ParquetImport final : public HistoryImport {
 public:
  ParquetImport(ParquetHistory& history, uint64_t xxh64, const std::string& name)
      : history_(history), forgotten_(history.manifest()) {
    file_.set_xxh64(xxh64);
    file_.set_name(name);
    ordinal_ = history.manifest().imports_size();
  }
  ~ParquetImport() override {
    if (!committed_) {
      for (const v1::HistorySegment& segment : segments_) {
        ::unlink(history_.Path(segment.file()).c_str());
      }
    }
  }

  int64_t ordinal() const override { return ordinal_; }
  int64_t forgotten() const override { return forgotten_events_; }

  absl::Status Append(absl::Span<const HistoryEvent> events) override {
    for (const HistoryEvent& event : events) {
      if (event.position.partition != kImportPartition || event.position.offset < next_ ||
          Value(event.position.offset) >> kImportLineBits != ordinal_) {
        return absl::InvalidArgumentError(absl::StrCat("imported event is out of order: offset=", Value(event.position.offset)));
      }
      next_ = Next(event.position.offset);
      pending_.push_back(event);
      if (forgotten_.Hides(event.event)) {
        Anonymise(&pending_.back().event);
        ++forgotten_events_;
      }
      if (pending_.size() >= kEventsPerFile) {
        TRIBUTARY_RETURN_IF_ERROR(WritePending());
      }
    }
    return absl::OkStatus();
  }

  absl::Status Commit(int64_t rejected, absl::Span<const v1::Item> items) override {
    if (!pending_.empty()) {
      TRIBUTARY_RETURN_IF_ERROR(WritePending());
    }
    std::string catalogue;
    if (!items.empty()) {
      std::vector<v1::CatalogueEntry> entries(items.size());
      for (size_t i = 0; i < items.size(); ++i) {
        *entries[i].mutable_item() = items[i];
      }
      TRIBUTARY_ASSIGN_OR_RETURN(catalogue, history_.PutCatalogue(entries));
    }
    v1::HistoryManifest next = history_.manifest();
    file_.set_rejected(rejected);
    *next.add_imports() = file_;
    next.add_import_catalogues(catalogue);
    for (const v1::HistorySegment& segment : segments_) {
      *next.add_segments() = segment;
    }
    TRIBUTARY_RETURN_IF_ERROR(history_.Replace(std::move(next)));
    committed_ = true;
    return absl::OkStatus();
  }

 private:
  absl::Status WritePending() {
    v1::HistorySegment segment;
    segment.set_partition(Value(kImportPartition));
    segment.set_begin_offset(Value(pending_.front().position.offset));
    segment.set_end_offset(Value(next_));
    TRIBUTARY_RETURN_IF_ERROR(history_.WriteSegment(
        absl::StrFormat("events/import-%d-%d.parquet", ordinal_, segments_.size()), pending_, &segment));
    segment.set_forgotten(history_.manifest().forgotten_size());
    file_.set_accepted(file_.accepted() + static_cast<int64_t>(pending_.size()));
    segments_.push_back(std::move(segment));
    pending_.clear();
    return absl::OkStatus();
  }

  ParquetHistory& history_;
  ForgottenUsers forgotten_;
  int64_t forgotten_events_ = 0;
  v1::ImportedFile file_;
  int64_t ordinal_ = 0;
  Offset next_{0};
  std::vector<HistoryEvent> pending_;
  std::vector<v1::HistorySegment> segments_;
  bool committed_ = false;
};

absl::Status ParquetHistory::Initialize() {
  std::error_code error;
  for (const char* dir : {"", "/events", "/catalogues"}) {
    fs::create_directories(options_.dir + dir, error);
    if (error) {
      return absl::UnavailableError(
          absl::StrCat("history directory cannot be made: path=", options_.dir, dir, " cause=", error.message()));
    }
  }
  TRIBUTARY_ASSIGN_OR_RETURN(lock_, FileLock::Acquire(Path("LOCK")));
  TRIBUTARY_RETURN_IF_ERROR(ReadManifest());
  TRIBUTARY_RETURN_IF_ERROR(CheckFiles());
  return RemoveLeftovers();
}

absl::Status ParquetHistory::ReadManifest() {
  const absl::StatusOr<std::string> json = ReadWholeFile(Path(kManifestName));
  if (absl::IsNotFound(json.status())) {
    manifest_.set_format_version(kHistoryFormatVersionWithoutForgotten);
    manifest_.set_events_topic(options_.events_topic);
    manifest_.set_segment_size(options_.segment_size);
    return absl::OkStatus();
  }
  TRIBUTARY_RETURN_IF_ERROR(json.status());
  absl::StatusOr<v1::HistoryManifest> manifest = HistoryManifestFromJson(*json);
  if (!manifest.ok()) {
    return absl::Status(manifest.status().code(), absl::StrCat(manifest.status().message(), ": path=", Path(kManifestName)));
  }
  manifest_ = *std::move(manifest);
  if (manifest_.events_topic() != options_.events_topic || manifest_.segment_size() != options_.segment_size) {
    return absl::FailedPreconditionError(absl::StrCat(
        "history belongs to another topic or segment size: path=", options_.dir, " topic=", manifest_.events_topic(),
        " segment_size=", manifest_.segment_size(), " configured_topic=", options_.events_topic,
        " configured_segment_size=", options_.segment_size));
  }
  return absl::OkStatus();
}

absl::Status ParquetHistory::CheckFiles() const {
  for (const v1::HistorySegment& segment : manifest_.segments()) {
    if (segment.file().empty()) {
      continue;
    }
    std::error_code error;
    const auto size = fs::file_size(Path(segment.file()), error);
    if (error || static_cast<int64_t>(size) != segment.size_bytes()) {
      return absl::DataLossError(absl::StrCat("history file is missing or has another size: path=", Path(segment.file()),
                                              " size=", error ? -1 : static_cast<int64_t>(size), " expected=", segment.size_bytes()));
    }
  }
  return absl::OkStatus();
}

absl::Status ParquetHistory::RemoveLeftovers() const {
  std::set<std::string> known;
  for (const v1::HistorySegment& segment : manifest_.segments()) {
    known.insert(segment.file());
  }
  for (const char* dir : {"events", "catalogues", "."}) {
    for (const fs::directory_entry& entry : fs::directory_iterator(Path(dir))) {
      const std::string name = entry.path().filename();
      const bool of_events = std::string(dir) == "events";
      if (absl::EndsWith(name, ".tmp") || (of_events && known.count(absl::StrCat("events/", name)) == 0)) {
        LOG(INFO) << "history: removing a file that was never completed: " << entry.path().string();
        std::error_code error;
        fs::remove(entry.path(), error);
        if (error) {
          return absl::UnavailableError(
              absl::StrCat("file cannot be removed: path=", entry.path().string(), " cause=", error.message()));
        }
      }
    }
  }
  return absl::OkStatus();
}

absl::Status ParquetHistory::Replace(v1::HistoryManifest next) {
  TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomically(Path(kManifestName), HistoryManifestToJson(next)));
  manifest_ = std::move(next);
  return absl::OkStatus();
}

absl::Status ParquetHistory::WriteSegment(const std::string& file, absl::Span<const HistoryEvent> events,
                                          v1::HistorySegment* segment) {
  const auto write = [events](SegmentWriter& writer) -> absl::Status {
    for (const HistoryEvent& event : events) {
      TRIBUTARY_RETURN_IF_ERROR(writer.Append(event));
    }
    return absl::OkStatus();
  };
  return WriteSegment(file, write, segment);
}

absl::Status ParquetHistory::WriteSegment(const std::string& file,
                                          const std::function<absl::Status(SegmentWriter&)>& write,
                                          v1::HistorySegment* segment) {
  const std::string partial = Path(file) + ".tmp";
  const auto complete = [&]() -> absl::Status {
    TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<ParquetWriter> writer, ParquetWriter::Create(partial));
    SegmentWriter events(*writer, segment);
    TRIBUTARY_RETURN_IF_ERROR(write(events));
    TRIBUTARY_RETURN_IF_ERROR(writer->Finish());
    TRIBUTARY_ASSIGN_OR_RETURN(const FileSum sum, SumFile(partial));
    segment->set_file(file);
    segment->set_size_bytes(sum.size_bytes);
    segment->set_xxh64(sum.xxh64);
    return RenameDurably(partial, Path(file));
  };
  const absl::Status status = complete();
  if (!status.ok()) {
    ::unlink(partial.c_str());
  }
  return status;
}

bool ParquetHistory::HasImport(uint64_t xxh64) const {
  return std::any_of(manifest_.imports().begin(), manifest_.imports().end(),
                     [xxh64](const v1::ImportedFile& file) { return file.xxh64() == xxh64; });
}

absl::Status ParquetHistory::Append(const HistoryRange& range) {
  const PartitionEnd end = End(range.partition);
  if (range.end <= end.offset) {
    return absl::OkStatus();
  }
  const auto refuse = [&](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": partition=", Value(range.partition), " begin=", Value(range.begin),
                                                   " end=", Value(range.end), " history_end=", Value(end.offset)));
  };
  if (range.partition == kImportPartition || range.begin != end.offset || range.record_time_unix_ms < end.record_time_unix_ms) {
    return refuse("range does not follow the history");
  }
  Offset next = range.begin;
  for (const HistoryEvent& event : range.events) {
    if (event.position.partition != range.partition || event.position.offset < next || event.position.offset >= range.end) {
      return refuse("event of a range is out of order");
    }
    next = Next(event.position.offset);
  }
  v1::HistoryManifest manifest = manifest_;
  v1::HistorySegment* segment = nullptr;
  if (range.events.empty()) {
    // Grow the partition's last range without events, so that idle runs do not lengthen the list.
    for (v1::HistorySegment& last : *manifest.mutable_segments()) {
      if (last.file().empty() && last.partition() == Value(range.partition) && last.end_offset() == Value(range.begin)) {
        segment = &last;
      }
    }
  }
  if (segment == nullptr) {
    segment = manifest.add_segments();
    segment->set_partition(Value(range.partition));
    segment->set_begin_offset(Value(range.begin));
  }
  segment->set_end_offset(Value(range.end));
  segment->set_record_time_unix_ms(range.record_time_unix_ms);
  if (!range.events.empty()) {
    TRIBUTARY_RETURN_IF_ERROR(WriteSegment(absl::StrFormat("events/p%d-%d-%d.parquet", Value(range.partition),
                                                           Value(range.begin), Value(range.end)),
                                           range.events, segment));
  }
  return Replace(std::move(manifest));
}

absl::Status ParquetHistory::RecordGap(PartitionId partition, Offset to) {
  const PartitionEnd end = End(partition);
  if (to <= end.offset) {
    return absl::OkStatus();
  }
  v1::HistoryManifest manifest = manifest_;
  v1::HistoryGap* const gap = manifest.add_gaps();
  gap->set_partition(Value(partition));
  gap->set_begin_offset(Value(end.offset));
  gap->set_end_offset(Value(to));
  return Replace(std::move(manifest));
}

absl::StatusOr<std::unique_ptr<HistoryImport>> ParquetHistory::BeginImport(uint64_t xxh64, const std::string& name) {
  if (HasImport(xxh64)) {
    return absl::AlreadyExistsError(absl::StrFormat("file is in the history already: name=%s xxh64=%016x", name, xxh64));
  }
  return std::make_unique<ParquetImport>(*this, xxh64, name);
}

absl::Status ParquetHistory::Verify(const v1::HistorySegment& segment) {
  if (verified_.contains(segment.file())) {
    return absl::OkStatus();
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const FileSum sum, SumFile(Path(segment.file())));
  if (sum.xxh64 != segment.xxh64()) {
    return absl::DataLossError(absl::StrFormat("history file is damaged: path=%s xxh64=%016x expected=%016x",
                                               Path(segment.file()), sum.xxh64, segment.xxh64()));
  }
  verified_.insert(segment.file());
  return absl::OkStatus();
}

absl::Status ParquetHistory::Scan(const HistoryScan& scan,
                                  const std::function<absl::Status(const HistoryEvent&)>& visit) {
  std::map<std::pair<int32_t, int64_t>, const v1::HistorySegment*> in_order;
  for (const v1::HistorySegment& segment : manifest_.segments()) {
    const bool young_enough = !scan.min_record_time_unix_ms || segment.partition() == Value(kImportPartition) ||
                              segment.record_time_unix_ms() >= *scan.min_record_time_unix_ms;
    if (!segment.file().empty() && young_enough && (!scan.partition || segment.partition() == Value(*scan.partition))) {
      in_order[{segment.partition(), segment.begin_offset()}] = &segment;
    }
  }
  for (const auto& [position, segment] : in_order) {
    TRIBUTARY_RETURN_IF_ERROR(Verify(*segment));
    TRIBUTARY_RETURN_IF_ERROR(ReadParquetFile(Path(segment->file()), scan.columns, [&](const HistoryEvent& event) {
      const bool wanted = !scan.min_record_time_unix_ms || event.record_time_unix_ms >= *scan.min_record_time_unix_ms;
      return wanted ? visit(event) : absl::OkStatus();
    }));
  }
  return absl::OkStatus();
}

absl::StatusOr<CompactionReport> ParquetHistory::Compact(const CompactionLimits& limits,
                                                         const std::function<bool()>& stopped) {
  CHECK_GE(limits.min_files, 2);
  CompactionReport report;
  for (;;) {
    const std::vector<std::vector<int>> groups = PlanCompaction(manifest_, limits);
    if (groups.empty()) {
      return report;
    }
    if (stopped()) {
      return absl::CancelledError("stopped while merging files of the history");
    }
    TRIBUTARY_RETURN_IF_ERROR(Merge(groups.front(), &report));
  }
}

absl::Status ParquetHistory::Merge(const std::vector<int>& group, CompactionReport* report) {
  v1::HistoryManifest next = manifest_;
  next.set_rewrites(manifest_.rewrites() + 1);
  v1::HistorySegment merged = manifest_.segments(group.front());
  merged.set_end_offset(manifest_.segments(group.back()).end_offset());
  merged.set_forgotten(manifest_.forgotten_size());
  int64_t expected = 0;
  bool forgets_listed = true;
  std::vector<const v1::HistorySegment*> replaced;
  for (const int i : group) {
    const v1::HistorySegment& segment = manifest_.segments(i);
    merged.set_record_time_unix_ms(std::max(merged.record_time_unix_ms(), segment.record_time_unix_ms()));
    if (!segment.file().empty()) {
      replaced.push_back(&segment);
      forgets_listed = forgets_listed && segment.forgets_listed();
      merged.set_forgotten(std::min(merged.forgotten(), segment.forgotten()));
      expected += segment.events();
      report->bytes_before += segment.size_bytes();
    }
  }
  const auto write = [&](SegmentWriter& writer) -> absl::Status {
    for (const v1::HistorySegment* segment : replaced) {
      TRIBUTARY_RETURN_IF_ERROR(ReadSegment(*segment, HistoryColumns::All(),
                                            [&writer](const HistoryEvent& event) { return writer.Append(event); }));
    }
    return absl::OkStatus();
  };
  TRIBUTARY_RETURN_IF_ERROR(WriteSegment(RewrittenName(next.rewrites(), merged), write, &merged));
  if (merged.events() != expected) {
    ::unlink(Path(merged.file()).c_str());
    return absl::InternalError(absl::StrCat("merged file has not the events of those that it is made of: file=", merged.file(),
                                            " events=", merged.events(), " expected=", expected));
  }
  merged.set_forgets_listed(forgets_listed);
  report->bytes_after += merged.size_bytes();
  report->files_before += static_cast<int64_t>(replaced.size());
  ++report->files_after;
  const std::string added = merged.file();
  const std::set<int> gone(group.begin(), group.end());
  next.clear_segments();
  for (int i = 0; i < manifest_.segments_size(); ++i) {
    if (i == group.front()) {
      *next.add_segments() = std::move(merged);
    } else if (gone.count(i) == 0) {
      *next.add_segments() = manifest_.segments(i);
    }
  }
  std::vector<std::string> old;
  for (const v1::HistorySegment* segment : replaced) {
    old.push_back(segment->file());
  }
  return ReplaceFiles(std::move(next), added, old);
}

absl::Status ParquetHistory::ReplaceFiles(v1::HistoryManifest next, const std::string& added,
                                          const std::vector<std::string>& gone) {
  if (absl::Status status = Replace(std::move(next)); !status.ok()) {
    ::unlink(Path(added).c_str());
    return status;
  }
  Delete(gone);
  return absl::OkStatus();
}

void ParquetHistory::Delete(const std::vector<std::string>& files) {
  for (const std::string& file : files) {
    verified_.erase(file);
    if (::unlink(Path(file).c_str()) != 0) {
      PLOG(WARNING) << "history: an old file cannot be removed yet: " << Path(file);
    }
  }
}

// Of a segment with a file: its events, and as many as the manifest says.
absl::Status ParquetHistory::ReadSegment(const v1::HistorySegment& segment, const HistoryColumns& columns,
                                         const std::function<absl::Status(const HistoryEvent&)>& visit) {
  TRIBUTARY_RETURN_IF_ERROR(Verify(segment));
  int64_t events = 0;
  TRIBUTARY_RETURN_IF_ERROR(ReadParquetFile(Path(segment.file()), columns, [&](const HistoryEvent& event) {
    ++events;
    return visit(event);
  }));
  return events == segment.events()
             ? absl::OkStatus()
             : absl::DataLossError(absl::StrCat("history file has another number of events: path=", Path(segment.file()),
                                                " events=", events, " expected=", segment.events()));
}

absl::StatusOr<ForgetReport> ParquetHistory::Forget(const std::set<PartitionId>& exhausted, int64_t now_unix_ms,
                                                    const std::function<bool()>& stopped) {
  ForgetReport report;
  TRIBUTARY_RETURN_IF_ERROR(ListForgets(&report));
  ForgottenUsers forgotten(manifest_);
  const int listed = manifest_.forgotten_size();
  v1::HistoryManifest next = manifest_;
  bool changed = false;
  for (int i = 0; i < manifest_.segments_size(); ++i) {
    v1::HistorySegment& segment = *next.mutable_segments(i);
    if (segment.file().empty() || segment.forgotten() == listed) {
      continue;
    }
    if (stopped()) {
      return absl::CancelledError("stopped while taking forgotten users out of the history");
    }
    const int64_t due_below = DueBelow(PartitionId{segment.partition()}, exhausted, now_unix_ms);
    int64_t due = 0, waiting = 0;
    HistoryColumns users;
    users.user_id = true;
    TRIBUTARY_RETURN_IF_ERROR(ReadSegment(segment, users, [&](const HistoryEvent& row) {
      if (forgotten.Hides(row.event)) {
        ++(row.record_time_unix_ms < due_below ? due : waiting);
      }
      return absl::OkStatus();
    }));
    changed = changed || waiting == 0;
    report.waiting += waiting;
    const v1::HistorySegment before = segment;
    if (due > 0) {
      next.set_rewrites(next.rewrites() + 1);
      const auto write = [&](SegmentWriter& writer) {
        return ReadSegment(before, HistoryColumns::All(), [&](const HistoryEvent& row) {
          if (row.record_time_unix_ms >= due_below || !forgotten.Hides(row.event)) {
            return writer.Append(row);
          }
          HistoryEvent nobody = row;
          Anonymise(&nobody.event);
          return writer.Append(nobody);
        });
      };
      TRIBUTARY_RETURN_IF_ERROR(WriteSegment(RewrittenName(next.rewrites(), segment), write, &segment));
      segment.set_forgets_listed(true);
    }
    if (waiting == 0) {
      segment.set_forgotten(listed);
    }
    if (due > 0) {
      TRIBUTARY_RETURN_IF_ERROR(ReplaceFiles(next, segment.file(), {before.file()}));
      changed = false;
      report.events += due;
      ++report.files;
    }
  }
  if (changed) {
    TRIBUTARY_RETURN_IF_ERROR(Replace(std::move(next)));
  }
  return report;
}

absl::Status ParquetHistory::ListForgets(ForgetReport* report) {
  v1::HistoryManifest next = manifest_;
  std::map<std::string, int64_t> known = ForgottenUsers(manifest_).list();
  const auto list = [&](const HistoryEvent& row) {
    if (SegmentWriter::IsForget(row.event)) {
      const std::string digest = UserDigest(row.event.user_id);
      const auto [entry, added] = known.try_emplace(digest, row.event.event_time_unix_ms);
      if (added || entry->second < row.event.event_time_unix_ms) {
        entry->second = row.event.event_time_unix_ms;
        v1::ForgottenUser& user = *next.add_forgotten();
        user.set_user_digest(digest);
        user.set_until_unix_ms(row.event.event_time_unix_ms);
        user.set_partition(Value(row.position.partition));
        user.set_offset(Value(row.position.offset));
        user.set_record_time_unix_ms(row.record_time_unix_ms);
        ++report->users;
        next.set_format_version(kHistoryFormatVersion);
      }
    }
    return absl::OkStatus();
  };
  bool changed = false;
  for (v1::HistorySegment& segment : *next.mutable_segments()) {
    if (!segment.file().empty() && !segment.forgets_listed()) {
      HistoryColumns users;
      users.user_id = true;
      TRIBUTARY_RETURN_IF_ERROR(ReadSegment(segment, users, list));
      segment.set_forgets_listed(true);
      changed = true;
    }
  }
  return changed ? Replace(std::move(next)) : absl::OkStatus();
}

int64_t ParquetHistory::DueBelow(PartitionId partition, const std::set<PartitionId>& exhausted,
                                 int64_t now_unix_ms) const {
  const int64_t end = End(partition).record_time_unix_ms;
  const bool silent = exhausted.count(partition) > 0 && now_unix_ms - end > kSilentPartitionMs;
  return partition == kImportPartition || silent ? std::numeric_limits<int64_t>::max() : end - kDedupWindowMs;
}

absl::StatusOr<ExpiryReport> ParquetHistory::RemoveExpired(absl::Duration keep, absl::Time now) {
  v1::HistoryManifest timed = manifest_;
  bool looked_up = false;
  for (v1::HistorySegment& segment : *timed.mutable_segments()) {
    if (segment.record_time_unix_ms() == 0 && !segment.file().empty()) {     // An import by an older build.
      TRIBUTARY_RETURN_IF_ERROR(ReadSegment(segment, HistoryColumns(), [&segment](const HistoryEvent& row) {
        segment.set_record_time_unix_ms(std::max(segment.record_time_unix_ms(), row.record_time_unix_ms));
        return absl::OkStatus();
      }));
      looked_up = true;
    }
  }
  const std::vector<int> expired = ExpiredSegments(timed, keep, now);
  ExpiryReport report;
  std::vector<std::string> gone;
  for (const int i : expired) {
    const v1::HistorySegment& segment = timed.segments(i);
    ++report.files;
    report.events += segment.events();
    report.bytes += segment.size_bytes();
    gone.push_back(segment.file());
  }
  if (!expired.empty() || looked_up) {
    TRIBUTARY_RETURN_IF_ERROR(Replace(WithoutEvents(std::move(timed), expired)));
    Delete(gone);
  }
  return report;
}

absl::StatusOr<std::vector<v1::Item>> ParquetHistory::ReadImportItems(int64_t ordinal) const {
  std::vector<v1::Item> items;
  const std::string& file = manifest_.import_catalogues(static_cast<int>(ordinal));
  if (file.empty()) {
    return items;
  }
  TRIBUTARY_ASSIGN_OR_RETURN(std::vector<v1::CatalogueEntry> entries, ReadCatalogue(file));
  for (v1::CatalogueEntry& entry : entries) {
    items.push_back(std::move(*entry.mutable_item()));
  }
  return items;
}

absl::StatusOr<std::string> ParquetHistory::PutCatalogue(absl::Span<const v1::CatalogueEntry> entries) {
  const std::string bytes = EncodeCatalogue(entries);
  const std::string file = absl::StrFormat("catalogues/%016x.catalogue.gz", XXH64(bytes.data(), bytes.size(), 0));
  if (!fs::exists(Path(file))) {
    TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomically(Path(file), bytes));
  }
  return file;
}

absl::StatusOr<std::vector<v1::CatalogueEntry>> ParquetHistory::ReadCatalogue(const std::string& file) const {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string bytes, ReadWholeFile(Path(file)));
  absl::StatusOr<std::vector<v1::CatalogueEntry>> entries = DecodeCatalogue(bytes);
  if (!entries.ok()) {
    return absl::DataLossError(absl::StrCat(entries.status().message(), ": path=", Path(file)));
  }
  return entries;
}

}  // namespace

std::string Describe(const ForgetReport& report) {
  return absl::StrFormat("%d users newly forgotten, %d events without them now, %d wait for their ids to expire",
                         report.users, report.events, report.waiting);
}

std::string Describe(const ExpiryReport& report) {
  return absl::StrFormat("%d files with %d events removed, %.1f MiB", report.files, report.events,
                         static_cast<double>(report.bytes) / (1 << 20));
}

std::string Describe(const CompactionReport& report) {
  return absl::StrFormat("%d files merged into %d, %.1f MiB into %.1f", report.files_before, report.files_after,
                         static_cast<double>(report.bytes_before) / (1 << 20),
                         static_cast<double>(report.bytes_after) / (1 << 20));
}

HistoryColumns HistoryColumns::All() { return {true, true, true, true, true, true, true, true, true, true, true}; }

absl::StatusOr<std::unique_ptr<History>> History::Open(const HistoryOptions& options) {
  auto history = std::make_unique<ParquetHistory>(options);
  TRIBUTARY_RETURN_IF_ERROR(history->Initialize());
  return history;
}

}  // namespace tributary::batch
