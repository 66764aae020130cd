#ifndef TRIBUTARY_COMMON_SNAPSHOT_FORMAT_H_
#define TRIBUTARY_COMMON_SNAPSHOT_FORMAT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/counts/counts.h"
#include "common/ids/ids.h"
#include "common/snapshot/snapshot.h"

// The bytes of a snapshot, format version 3. Version 2 has a column family `users` instead of users.bin and
// user_index.bin; version 1 is version 2 without factors.bin and sessions.bin.
//
//   <snapshots>/CURRENT                the active generation in decimal and a newline; changes by atomic rename
//   <snapshots>/LOCK                   held by the batch run that is at work
//   <snapshots>/<generation>/          complete when MANIFEST.json is there and matches
//       MANIFEST.json                  tributary.v1.SnapshotManifest in proto3 JSON, written last
//       users.bin  user_index.bin      what a request reads of its user (common/snapshot/user_records.h)
//       items.bin  neighbours.bin      flat files, below
//       factors.bin  sessions.bin      flat files too, which a snapshot may be without
//       db/                            a RocksDB database, opened read-only
//   <snapshots>/<generation>.partial/  being written, or left by a crash
//   <snapshots>/<generation>.removed/  being deleted, or left by a crash
//
// Keys of users: the user id; and 0x01 digest of the user id (common/event/user_digest.h) for a user of whom nothing is
// left but a FORGET: there is a profile with only forgotten_until. Ids have no byte below 0x20, so these come first.
//
// Column families of db/ (comparator: bytewise), value: one serialised message of tributary.v1 (deterministic form).
//   users       SnapshotUser   up to version 2
//   popularity  ScoredItems    key = "all" | "category:" category | "segment:" segment of users
//   counts      CountTotal     key = measure:u8 text 0x00 type:u8     where text = the CountKey's key, each 0x00 in it
//                              written as 0x00 0xFF: keys sort as CountKey does
//   cut_counts  LiveCounts     key = partition:u32 big endian
//
// Flat files. All numbers are little endian; every array starts at a multiple of 8 from the beginning of the file.
//   items.bin       = header "TRBITEMS" offset:u64{count + 1} byte{entries}
//                     item i is the serialised tributary.v1.Item in bytes [offset[i], offset[i + 1])
//   neighbours.bin  = header "TRBNEIGH" offset:u64{count + 1} (item:u32 score:f32){entries}
//                     the neighbours of item i, best first, are entries [offset[i], offset[i + 1])
//   factors.bin     = header "TRBFACTR" unobserved_weight:f32 regularization:f32 regularization_exponent:f32 0:u32{5}
//                     eigenvalue:f32{d} 0:u32{(16 - d mod 16) mod 16} value:f32{count * d}
//                     d = the header's entries, 1 to 4,096; the factors of item i are values [i d, (i + 1) d)
//   sessions.bin    = header "TRBSESSN" session_item_count:u64 item_session_count:u64 session_offset:u64{entries + 1}
//                     session_time:i64{entries} item_offset:u64{count + 1} session_item:u32{session_item_count}
//                     item_session:u32{item_session_count} item_count:u32{count}, a u32 array of odd length with 0:u32
//                     behind it: tributary::SessionIndex, the header's entries being the sessions
//   header          = magic:byte{8} version:u32 count:u32 entries:u64 reserved:u64   (reserved is 0)
//   in items.bin and neighbours.bin offset[0] = 0, offsets never fall, offset[count] = entries; nothing follows the
//   entries.
//
// Content digest: 32 hex digits of xxh3-128 over one line a part, in the order users (up to version 2), popularity,
// counts, cut_counts, users.bin, user_index.bin (from version 3 on), items.bin, neighbours.bin and, where they are there,
// factors.bin, sessions.bin:   name " " pairs " " part-digest "\n"
// A view's part-digest is the hex xxh3-128 over its pairs in key order, each as key_size:u32 key value_size:u32 value;
// that of a flat file is over its bytes, with pairs = 1. It does not depend on how RocksDB lays out its files.
//
// Manifest checksum: `manifest_checksum` is the hex xxh64 of MANIFEST.json with its own 16 digits replaced by zeros.
namespace tributary::snapshot_format {

// From version 3 on.
constexpr bool HasUserFiles(int32_t format_version) { return format_version >= 3; }

enum class View { kUsers, kPopularity, kCounts, kCutCounts };
inline constexpr std::array kAllViews = {View::kUsers, View::kPopularity, View::kCounts, View::kCutCounts};
// The views of a version, in the order of the content digest.
constexpr absl::Span<const View> ViewsOf(int32_t format_version) {
  return absl::MakeConstSpan(kAllViews).subspan(HasUserFiles(format_version) ? 1 : 0);
}
// The column family's name.
absl::string_view ViewName(View view);

inline constexpr absl::string_view kManifestFile = "MANIFEST.json";
inline constexpr absl::string_view kItemsFile = "items.bin";
inline constexpr absl::string_view kNeighboursFile = "neighbours.bin";
inline constexpr absl::string_view kFactorsFile = "factors.bin";
inline constexpr absl::string_view kSessionsFile = "sessions.bin";
inline constexpr absl::string_view kDatabaseDir = "db";
inline constexpr absl::string_view kCurrentFile = "CURRENT";
inline constexpr absl::string_view kCanaryFile = "CANARY.json";
inline constexpr absl::string_view kLockFile = "LOCK";
inline constexpr absl::string_view kPartialSuffix = ".partial";
inline constexpr absl::string_view kRemovedSuffix = ".removed";

// The key in place of the id of a user who was forgotten.
std::string ForgottenUserKey(absl::string_view user_digest);
bool IsForgottenUserKey(absl::string_view key);

// InvalidArgument: unspecified or out-of-range measure or type.
absl::StatusOr<std::string> EncodeCountKey(const CountKey& key);
// DataLoss: not a key that EncodeCountKey makes.
absl::StatusOr<CountKey> DecodeCountKey(absl::string_view bytes);

// InvalidArgument: a negative partition (imports have no segments).
absl::StatusOr<std::string> EncodePartition(PartitionId partition);

struct FlatHeader {
  char magic[8];
  uint32_t version;
  uint32_t count;
  uint64_t entries;
  uint64_t reserved;
};
static_assert(sizeof(FlatHeader) == 32);
// neighbours.bin is read in place.
static_assert(sizeof(ScoredItem) == 8 && offsetof(ScoredItem, score) == 4 && alignof(ScoredItem) <= 8);

inline constexpr absl::string_view kItemsMagic = "TRBITEMS";
inline constexpr absl::string_view kNeighboursMagic = "TRBNEIGH";
inline constexpr absl::string_view kFactorsMagic = "TRBFACTR";
inline constexpr absl::string_view kSessionsMagic = "TRBSESSN";
inline constexpr uint32_t kFlatVersion = 1;

// Header and offsets of a flat file, checked once; the entries follow.
struct FlatFile {
  absl::Span<const uint64_t> offsets;   // count + 1
  const char* entries = nullptr;

  uint32_t count() const { return static_cast<uint32_t>(offsets.size() - 1); }
};

// The bytes before the entries: header and offsets. `offsets` as in the file.
std::string EncodeFlatPrefix(absl::string_view magic, absl::Span<const uint64_t> offsets);

// Borrows `bytes`, which start at a multiple of 8. DataLoss (FailedPrecondition: newer version) names the offset of what
// is wrong; `entry_size` is 1 for items.bin and 8 for neighbours.bin.
absl::StatusOr<FlatFile> ParseFlatFile(absl::string_view bytes, absl::string_view magic, uint64_t entry_size);

// The bytes of factors.bin before the factors. InvalidArgument: dimensions out of range, arrays of another length, or
// an option or eigenvalue that is not finite and >= 0.
absl::StatusOr<std::string> EncodeFactorsPrefix(const SnapshotFactors& factors);

// Borrows `bytes`, which start at a multiple of 8. Errors as of ParseFlatFile; values are not looked at but for the
// options.
absl::StatusOr<SnapshotFactors> ParseFactorsFile(absl::string_view bytes);

// The whole of sessions.bin.
std::string EncodeSessions(const SessionIndex& sessions);

// Borrows `bytes`, which start at a multiple of 8. Errors as of ParseFlatFile. Every number lies in its range.
absl::StatusOr<SessionIndex> ParseSessionsFile(absl::string_view bytes);

// The digest of a view or of a flat file while it is written or scanned. Not thread-safe.
class PartDigest {
 public:
  PartDigest();
  ~PartDigest();
  PartDigest(PartDigest&&) noexcept;
  PartDigest& operator=(PartDigest&&) noexcept;

  void AddPair(absl::string_view key, absl::string_view value);
  // Bytes of a flat file, in order.
  void AddBytes(absl::string_view bytes);
  // The line that the content digest covers.
  std::string Line(absl::string_view name) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The content digest over the lines of all parts, in the order given above.
std::string ContentDigest(absl::Span<const std::string> lines);

}  // namespace tributary::snapshot_format

#endif  // TRIBUTARY_COMMON_SNAPSHOT_FORMAT_H_
