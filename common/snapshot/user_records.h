#ifndef TRIBUTARY_COMMON_SNAPSHOT_USER_RECORDS_H_
#define TRIBUTARY_COMMON_SNAPSHOT_USER_RECORDS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/ids/ids.h"
#include "common/user_state/user_history.h"
#include "tributary/v1/snapshot.pb.h"

// What a snapshot knows of its users, in a form that a request reads where it is mapped: nothing is parsed, and nothing
// is touched but one line of the index and the record. All numbers are little endian.
//
//   users.bin       one record a user, by ascending key, one after the other
//   record          = size:u32 list_length:u32 decisions:u32 key_size:u16 flags:u8 0:u8 width:u8{6} 0:u8{2} key padding
//                     [forgotten_until:i64] [base:i64{6}] column{6} padding (item:u32 score:f32){list_length}
//                     size in units of 8 bytes; paddings are zeros up to a multiple of 8; forgotten_until is there by
//                     its flag, the bases when there are decisions
//   flags           = the sum of: 1 the user has a list (which may be empty), 2 a profile, 4 forgotten_until, 8 no score
//                     of the list is greater than the one before it
//   column          = the decisions' item, kind, event time, partition, offset, value, in this order of columns; each
//                     number less its base in `width` bytes, which is 0, 1, 2, 4 or 8: base is the least of the column,
//                     width the least that holds the greatest
//   user_index.bin  = "TRBUSERS" version:u32 0:u32 users:u64 buckets:u64 records_size:u64 0:u64{3} slot:u64{8 buckets}
//                     records_size is that of users.bin. A record with hash h = xxh3-64 of its key lies in the first
//                     slot that was free, in the order of users.bin, from the first of bucket floor(h * buckets / 2^64)
//                     on, the first bucket following the last.
//   slot            = 0, or the lowest 16 bits of h above 48 bits of 1 + the record's offset in units of 8 bytes
namespace tributary::snapshot_format {

inline constexpr absl::string_view kUsersFile = "users.bin";
inline constexpr absl::string_view kUserIndexFile = "user_index.bin";

// One record where it lies. Cheap to copy; valid as long as the bytes.
class UserRecord {
 public:
  // The record that `bytes` begin with, which start at a multiple of 8 and may go on behind it. DataLoss: it is none.
  static absl::StatusOr<UserRecord> Parse(absl::string_view bytes);

  size_t size_bytes() const { return size_bytes_; }
  absl::string_view key() const { return key_; }
  bool has_list() const;
  bool has_profile() const;
  absl::Span<const ScoredItem> list() const { return list_; }
  bool list_falls() const;  // No score is greater than the one before it.
  // Replaces the content. DataLoss: the decisions are none of a UserHistory. `scratch`'s capacity is used again.
  absl::Status ReadHistory(std::vector<Decision>* scratch, UserHistory* history) const;
  // The message that AppendUserRecord was given. Errors as of ReadHistory.
  absl::Status ToProto(v1::SnapshotUser* user) const;

 private:
  absl::string_view key_;
  const char* header_ = nullptr;
  const char* numbers_ = nullptr;  // Behind the key.
  absl::Span<const ScoredItem> list_;
  size_t size_bytes_ = 0;
};

// InvalidArgument: lists of unequal lengths, a profile that is none of a UserHistory, a key beyond 65,535 bytes, or 32
// GiB.
absl::Status AppendUserRecord(absl::string_view key, const v1::SnapshotUser& user, std::string* bytes);

// Where users lie in users.bin. Borrows the bytes. Thread-safe.
class UserIndex {
 public:
  // Both files, which start at multiples of 64. Errors as of ParseFlatFile: DataLoss names the offset of what is wrong,
  // FailedPrecondition a newer version. What slots point at is not looked at before it is asked for.
  static absl::StatusOr<UserIndex> Parse(absl::string_view index, absl::string_view records);

  uint64_t users() const { return users_; }
  // Null: there is no such key. DataLoss: what is there is no record.
  absl::StatusOr<std::optional<UserRecord>> Find(absl::string_view key) const;
  // Brings near what Find and a reader of its record will look at.
  void Prefetch(absl::string_view key) const;
  // Calls visit(const UserRecord&) -> absl::Status for every record, by ascending key; stops at the first error.
  // DataLoss: something is no record.
  template <typename Visit>
  absl::Status ForEach(const Visit& visit) const;
  // DataLoss: a record that could not be served, or that its key does not lead to; scores or numbers of items out of
  // range.
  absl::Status Check(uint32_t items) const;

 private:
  absl::StatusOr<UserRecord> RecordAt(uint64_t offset) const;

  absl::Span<const uint64_t> slots_;
  absl::string_view records_;
  uint64_t users_ = 0;
  uint64_t buckets_ = 0;
};

// The bytes of user_index.bin for the records of users.bin, which AppendUserRecord made. InvalidArgument: 2 PiB.
// DataLoss: they are not what it made any more.
absl::StatusOr<std::string> EncodeUserIndex(absl::string_view records);

template <typename Visit>
absl::Status UserIndex::ForEach(const Visit& visit) const {
  for (uint64_t offset = 0; offset < records_.size();) {
    absl::StatusOr<UserRecord> record = RecordAt(offset);
    if (!record.ok()) {
      return record.status();
    }
    if (absl::Status status = visit(*record); !status.ok()) {
      return status;
    }
    offset += record->size_bytes();
  }
  return absl::OkStatus();
}

}  // namespace tributary::snapshot_format

#endif  // TRIBUTARY_COMMON_SNAPSHOT_USER_RECORDS_H_
