#ifndef TRIBUTARY_COMMON_SNAPSHOT_SNAPSHOT_H_
#define TRIBUTARY_COMMON_SNAPSHOT_SNAPSHOT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/counts/counts.h"
#include "common/ids/ids.h"
#include "common/process/file_lock.h"
#include "common/sessions/session_index.h"
#include "common/user_state/user_history.h"
#include "tributary/v1/catalogue.pb.h"
#include "tributary/v1/snapshot.pb.h"
#include "tributary/v1/speed.pb.h"

// Snapshots: immutable views of one batch run in `<dir>/<generation>/`. Layout: `users.bin` what each user has, found
// by `user_index.bin`, both read where they are mapped; `db/` one RocksDB database with a column family a view kind
// (popularity, counts, cut_counts), `items.bin` the item table and `neighbours.bin` the item neighbours as
// memory-mapped arrays, `factors.bin` the items' iALS factors and `sessions.bin` the session index likewise,
// `MANIFEST.json` written last. Format version 3, which reads versions 1 and 2; the grammar of keys and files is in
// common/snapshot/format.h.
namespace tributary {

inline constexpr int32_t kSnapshotFormatVersion = 3;

// Scope of a popularity list: overall, one category, or one segment of users.
inline constexpr absl::string_view kPopularOverall = "all";
inline constexpr absl::string_view kPopularSegmentPrefix = "segment:";
std::string PopularCategoryScope(absl::string_view category);
std::string PopularSegmentScope(absl::string_view segment);

// A view's table file ends at about this size, so that files stay handy to copy and to check.
inline constexpr int64_t kSnapshotFileBytes = int64_t{64} << 20;

// The items' iALS factors in the eigenbasis of their Gramian: what common/ials folds a user in with. Borrows.
struct SnapshotFactors {
  uint32_t items = 0;
  int dimensions = 0;           // d
  float unobserved_weight = 0;  // Of the loss that they are for (common/ials/row_solver.h), as the next two.
  float regularization = 0;
  float regularization_exponent = 0;
  absl::Span<const float> eigenvalues;  // d
  absl::Span<const float> values;       // items x d, item after item.
};

// What a snapshot has of one user, for a request. One a thread, used again and again.
struct StoredUser {
  absl::Span<const ScoredItem> list;  // Best first; empty: none. Valid as long as both this and the reader.
  bool list_falls = false;            // No score is greater than the one before it, which nobody need look at then.
  UserHistory history;                // At W.

  std::vector<Decision> decisions;  // Buffers of the reader, as those below, for snapshots up to version 2.
  std::vector<ScoredItem> scored;
  v1::SnapshotUser message;
};

// Writes one snapshot. Keys of each view must come in ascending byte order; everything is written to
// `<dir>/<generation>.partial/`, which Finish renames. Items and neighbours must be written, views may be empty; methods
// may come in any order. After an error the writer is of no more use. Item numbers must lie below the number of items
// and scores be finite and >= 0 (InvalidArgument). Not thread-safe.
class SnapshotWriter {
 public:
  // AlreadyExists: the generation is there. FailedPrecondition: another writer is at work on it. A leftover .partial
  // directory is cleared.
  static absl::StatusOr<std::unique_ptr<SnapshotWriter>> Create(const std::string& snapshots_dir, Generation generation,
                                                                int64_t target_file_bytes = kSnapshotFileBytes);
  // Removes what was written, unless Finish succeeded.
  virtual ~SnapshotWriter() = default;

  // items[i] is the item with number i.
  virtual absl::Status WriteItems(absl::Span<const v1::Item> items) = 0;
  virtual absl::Status PutUser(absl::string_view user_id, const v1::SnapshotUser& user) = 0;
  // A user of whom nothing is left: FindUser of their id still says until when they were forgotten, which hides what comes
  // late. Ascending digests (common/event/user_digest.h), all before the first PutUser.
  virtual absl::Status PutForgottenUser(absl::string_view user_digest, int64_t until_unix_ms) = 0;
  // One list an item number, best first; lists may be empty, all together have item_count entries.
  virtual absl::Status WriteNeighbours(absl::Span<const std::vector<ScoredItem>> neighbours) = 0;
  // One row an item. Optional: a snapshot without learned items has none.
  virtual absl::Status WriteFactors(const SnapshotFactors& factors) = 0;
  // Of as many items as there are. Optional.
  virtual absl::Status WriteSessions(const SessionIndex& sessions) = 0;
  virtual absl::Status PutPopular(absl::string_view scope, const v1::ScoredItems& items) = 0;
  virtual absl::Status PutCount(const CountKey& key, const v1::CountTotal& total) = 0;
  // Counts of the events between the start of the segment that W cuts and W, for that partition.
  virtual absl::Status PutCutCounts(PartitionId partition, const v1::LiveCounts& counts) = 0;
  // Completes `manifest` (format_version, generation, content_digest, files), syncs everything, renames the directory.
  // On an error nothing is visible.
  virtual absl::StatusOr<v1::SnapshotManifest> Finish(v1::SnapshotManifest manifest) = 0;
};

// Reads one snapshot. Thread-safe; reads take no lock that a writer can hold.
class SnapshotReader {
 public:
  enum class Verify {
    kManifest,   // Manifest complete, every file there with the right size. For files that were verified before.
    kChecksums,  // And the checksum of every file.
    kDigest,     // And the content digest over all keys and values.
  };
  // NotFound: no such snapshot, or no manifest in it yet; FailedPrecondition: newer format; DataLoss: a file is missing,
  // short or different (which one is named). Writes nothing into the snapshot, which may lie on a read-only file system.
  static absl::StatusOr<std::unique_ptr<SnapshotReader>> Open(const std::string& snapshots_dir, Generation generation,
                                                              Verify verify, int64_t block_cache_bytes);
  virtual ~SnapshotReader() = default;

  virtual const v1::SnapshotManifest& manifest() const = 0;
  virtual Generation generation() const = 0;
  // W of a partition: 0 for one that the manifest does not know.
  virtual Offset Watermark(PartitionId partition) const = 0;

  virtual uint32_t item_count() const = 0;
  // InvalidArgument when out of range.
  virtual absl::StatusOr<v1::Item> ReadItem(ItemNumber item) const = 0;

  // The item's neighbours, best first; empty for one out of range. Memory-mapped: valid as long as the reader.
  virtual absl::Span<const ScoredItem> Neighbours(ItemNumber item) const = 0;

  // Null: the snapshot has none. Memory-mapped: valid as long as the reader.
  virtual const SnapshotFactors* factors() const = 0;
  virtual const SessionIndex* sessions() const = 0;

  // Begins to bring near what ReadUser will look at, while the caller looks at something else.
  virtual void PrefetchUser(absl::string_view user_id) const = 0;
  // What a request reads: false when there is no such user, and then `user` is unspecified. DataLoss: what is there is
  // nothing that a writer would have written.
  virtual absl::StatusOr<bool> ReadUser(absl::string_view user_id, StoredUser* user) const = 0;

  // Point reads. NotFound: no such key. FindUser fills `user`, whose capacity is used again.
  virtual absl::Status FindUser(absl::string_view user_id, v1::SnapshotUser* user) const = 0;
  virtual absl::Status FindPopular(absl::string_view scope, v1::ScoredItems* items) const = 0;
  virtual absl::Status FindCount(const CountKey& key, v1::CountTotal* total) const = 0;
  virtual absl::Status FindCutCounts(PartitionId partition, v1::LiveCounts* counts) const = 0;

  // Every pair of a view, in key order, but for forgotten users; stops at the first error of `visit`.
  virtual absl::Status ForEachUser(
      const std::function<absl::Status(absl::string_view, const v1::SnapshotUser&)>& visit) const = 0;
  virtual absl::Status ForEachPopular(
      const std::function<absl::Status(absl::string_view, const v1::ScoredItems&)>& visit) const = 0;
  virtual absl::Status ForEachCount(
      const std::function<absl::Status(const CountKey&, const v1::CountTotal&)>& visit) const = 0;
};

// The directory of snapshots and the file CURRENT in it, which names the active generation. Several processes may use
// it at once: CURRENT changes by atomic rename. Whoever makes and retires generations holds LockForRun meanwhile;
// reading, activating and rolling back need no lock. Thread-safe.
class SnapshotStore {
 public:
  explicit SnapshotStore(std::string snapshots_dir);

  const std::string& dir() const { return dir_; }
  // Complete snapshots (a manifest that this build reads and that matches the files' sizes), oldest first; what is being
  // written, copied or removed, damaged or newer is left out. NotFound: the directory is not there.
  absl::StatusOr<std::vector<v1::SnapshotManifest>> List() const;
  absl::StatusOr<v1::SnapshotManifest> ReadManifest(Generation generation) const;
  // NotFound: nothing was activated yet. DataLoss: CURRENT names no generation.
  absl::StatusOr<Generation> Current() const;
  // Names `generation` in CURRENT, after checking that it is complete (errors as of SnapshotReader::Open). Another one than
  // before ends the canary (common/snapshot/canary.h).
  absl::Status Activate(Generation generation);
  // Makes the directory when it is missing, and holds the file LOCK in it. Aborted: another run holds it.
  absl::StatusOr<std::unique_ptr<FileLock>> LockForRun() const;
  // Removes what killed processes left half-written or half-removed. Answers the directories' names. Under LockForRun.
  absl::StatusOr<std::vector<std::string>> RemoveLeftovers();
  // The greatest generation that has a directory here, whole or not. Generation{0}: none has.
  absl::StatusOr<Generation> LastGeneration() const;
  // Deletes the files of a generation. FailedPrecondition: it is the current one or a canary. NotFound: it is not there. Whoever reads
  // it keeps what is open, and must have stopped before if more is to be opened.
  absl::Status Remove(Generation generation);

 private:
  std::string dir_;
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_SNAPSHOT_SNAPSHOT_H_
