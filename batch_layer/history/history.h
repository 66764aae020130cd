#ifndef TRIBUTARY_BATCH_LAYER_HISTORY_HISTORY_H_
#define TRIBUTARY_BATCH_LAYER_HISTORY_HISTORY_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "batch_layer/history/compaction.h"
#include "common/event/event.h"
#include "common/ids/ids.h"
#include "tributary/v1/catalogue.pb.h"
#include "tributary/v1/history.pb.h"

// The history: every accepted event, append-only (but for what is forgotten or expires), addressed by (partition, offset);
// imported files are partition -1.
namespace tributary::batch {

// The newest that this build reads. A history has version 1 until the first user is forgotten: builds from before do not know
// events without user id.
inline constexpr int32_t kHistoryFormatVersion = 2;
inline constexpr int32_t kHistoryFormatVersionWithoutForgotten = 1;

// One accepted event and where it lies.
struct HistoryEvent {
  EventPosition position;
  int64_t record_time_unix_ms = 0;   // Running maximum of the partition's append time. Imports: the event's own time.
  Event event;
};

// What Scan reads besides position, record time, type and event time. What is not asked for stays empty.
struct HistoryColumns {
  bool user_id = false;
  bool item_id = false;
  bool session_id = false;
  bool event_id_hash = false;
  bool amounts = false;              // Value and quantity.
  bool anonymous = false;
  bool page = false;
  bool category = false;
  bool query = false;
  bool attributes = false;
  bool experiment_bucket = false;
  static HistoryColumns All();
};

struct HistoryScan {
  HistoryColumns columns;
  std::optional<PartitionId> partition;               // Unset: all of them.
  std::optional<int64_t> min_record_time_unix_ms;     // Leaves out whole segments and events below.
};

// Where a partition's history ends.
struct PartitionEnd {
  Offset offset{};                   // The next offset that the history does not have.
  int64_t record_time_unix_ms = 0;   // Running maximum of append time below it, rejected records included.
};

// Events of [begin, end) of one partition, by offset; what is missing between was not accepted.
struct HistoryRange {
  PartitionId partition{};
  Offset begin{};
  Offset end{};
  int64_t record_time_unix_ms = 0;   // As PartitionEnd.
  absl::Span<const HistoryEvent> events;
};

// Takes in one file. Nothing is visible before Commit; dropped without it, nothing remains. Not thread-safe.
class HistoryImport {
 public:
  virtual ~HistoryImport() = default;
  // Its place in the list of imports: an event's offset is ordinal * 2^40 + line.
  virtual int64_t ordinal() const = 0;
  // Events by ascending line. What a FORGET that the history knows hides goes in without the person (forgotten_users.h).
  virtual absl::Status Append(absl::Span<const HistoryEvent> events) = 0;
  // `items`: the catalogue derived from the file, by item id.
  virtual absl::Status Commit(int64_t rejected, absl::Span<const v1::Item> items) = 0;
  // So many went in without the person, so far.
  virtual int64_t forgotten() const = 0;
};

struct CompactionReport {
  int64_t files_before = 0;          // That were merged.
  int64_t files_after = 0;           // Into so many.
  int64_t bytes_before = 0;
  int64_t bytes_after = 0;
};

// For people.
std::string Describe(const CompactionReport& report);

struct ForgetReport {
  int64_t users = 0;                 // Newly listed, or listed with a later time.
  int64_t events = 0;                // Lost their person now.
  int64_t files = 0;                 // Were written anew for it.
  int64_t waiting = 0;               // Events that keep it until their ids are too old (forgotten_users.h).
};
std::string Describe(const ForgetReport& report);

struct ExpiryReport {
  int64_t files = 0;                 // Were removed,
  int64_t events = 0;                // with so many events
  int64_t bytes = 0;                 // in so many bytes.
};
std::string Describe(const ExpiryReport& report);

struct HistoryOptions {
  std::string dir;                   // Created when missing.
  std::string events_topic;
  int64_t segment_size = 0;          // B of the topic.
};

// Threads: not thread-safe; one process at a time (Open holds a lock file until the object goes).
// Errors:  Aborted: another process has the history open; ResourceExhausted: disk full; DataLoss: a file is missing or
//          damaged (named); FailedPrecondition: newer format, other topic or segment size. After an error of a writing
//          call the history is as it was before.
class History {
 public:
  // Removes what earlier processes left half-written.
  static absl::StatusOr<std::unique_ptr<History>> Open(const HistoryOptions& options);
  virtual ~History() = default;

  virtual const v1::HistoryManifest& manifest() const = 0;
  // Offset 0 for a partition that the history does not know.
  virtual PartitionEnd End(PartitionId partition) const = 0;
  virtual bool HasImport(uint64_t xxh64) const = 0;

  // Appends a range. A range that is there already changes nothing. InvalidArgument: it does not begin at the end of the
  // partition, events out of order or out of range.
  virtual absl::Status Append(const HistoryRange& range) = 0;
  // Records that [end of the partition, `to`) is lost for good; the partition goes on at `to`.
  virtual absl::Status RecordGap(PartitionId partition, Offset to) = 0;
  // AlreadyExists: a file of this content is in.
  virtual absl::StatusOr<std::unique_ptr<HistoryImport>> BeginImport(uint64_t xxh64, const std::string& name) = 0;

  // Visits imports by ordinal and line, then partitions by number and offset, whatever the segments. Each segment's
  // checksum is verified when this object reads it for the first time. Stops at the first error of `visit`.
  virtual absl::Status Scan(const HistoryScan& scan,
                            const std::function<absl::Status(const HistoryEvent&)>& visit) = 0;

  // Merges small files of one partition that follow each other, until PlanCompaction finds nothing more. What Scan yields
  // stays the same. A group of files is replaced at a time: the new file is synced, then the manifest that names it in
  // place of the old ones; only then they go. So a kill at any point leaves either, and each costs at most its own group
  // again. Memory: one row group (ParquetWriter). Cancelled: `stopped`, asked between groups; what is done stays.
  virtual absl::StatusOr<CompactionReport> Compact(const CompactionLimits& limits, const std::function<bool()>& stopped) = 0;

  // Lists the users of all FORGET events, and takes the person out of what they hide (forgotten_users.h says what that
  // means, and what waits). First the list is durable, then one file after the other is replaced as Compact does it; the
  // next call goes on where one was killed. Reads each new file once, all files when a user is newly listed. `exhausted`:
  // partitions of which the topic held nothing more when it was last looked at; only they can be silent, as of `now_unix_ms`
  // of the machine. Cancelled: `stopped`, asked between files.
  virtual absl::StatusOr<ForgetReport> Forget(const std::set<PartitionId>& exhausted, int64_t now_unix_ms,
                                              const std::function<bool()>& stopped) = 0;

  // Removes the files that ExpiredSegments (expiry.h) names; their ranges stay as ranges without events, so that every
  // partition ends where it did and no import is taken twice. The manifest that no longer names them is durable before they
  // go. Call it after Forget: a file with a FORGET that is not listed stays.
  virtual absl::StatusOr<ExpiryReport> RemoveExpired(absl::Duration keep, absl::Time now) = 0;

  // Items derived from an import, by item id.
  virtual absl::StatusOr<std::vector<v1::Item>> ReadImportItems(int64_t ordinal) const = 0;

  // Keeps a catalogue as it was read; equal catalogues are kept once. Answers its file name.
  virtual absl::StatusOr<std::string> PutCatalogue(absl::Span<const v1::CatalogueEntry> entries) = 0;
  virtual absl::StatusOr<std::vector<v1::CatalogueEntry>> ReadCatalogue(const std::string& file) const = 0;
};

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_HISTORY_HISTORY_H_
