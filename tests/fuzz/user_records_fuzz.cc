#include <algorithm>
#include <cstring>
#include <memory>

#include <glog/logging.h>

#include "common/snapshot/user_records.h"
#include "tests/fuzz/fuzz_target.h"

// Any bytes as a record of users.bin, and as users.bin with an index: what is taken lies within the bytes and comes
// back when it is written again; what is refused says so by its code. Input: size of the index in two bytes, index,
// records.
namespace tributary::fuzz {
namespace {

namespace format = snapshot_format;

// Of just this size and on the heap, so that AddressSanitizer sees a read beyond it; aligned as a mapped file is.
class Copy {
 public:
  explicit Copy(absl::string_view bytes) : bytes_(new char[bytes.size()]), size_(bytes.size()) {
    if (size_ > 0) std::memcpy(bytes_.get(), bytes.data(), size_);
  }
  absl::string_view bytes() const { return {bytes_.get(), size_}; }

 private:
  const std::unique_ptr<char[]> bytes_;
  const size_t size_;
};

void CheckRecord(const format::UserRecord& record) {
  v1::SnapshotUser user;
  if (const absl::Status read = record.ToProto(&user); !read.ok()) {
    CHECK(absl::IsDataLoss(read)) << read;
    return;
  }
  // Not the same bytes: what no reader looks at may be anything, and a number may be written in more bytes than it
  // needs.
  std::string bytes;
  const absl::Status written = format::AppendUserRecord(record.key(), user, &bytes);
  CHECK(written.ok()) << written;
  const Copy copy(bytes);
  const auto again = format::UserRecord::Parse(copy.bytes());
  CHECK(again.ok()) << again.status();
  v1::SnapshotUser same;
  CHECK(again->ToProto(&same).ok());
  CHECK(again->key() == record.key());
  CHECK(same.SerializeAsString() == user.SerializeAsString());
}

void CheckFiles(absl::string_view index_bytes, absl::string_view record_bytes) {
  const Copy index(index_bytes), records(record_bytes);
  const auto users = format::UserIndex::Parse(index.bytes(), records.bytes());
  if (!users.ok()) {
    CHECK(absl::IsDataLoss(users.status()) || absl::IsFailedPrecondition(users.status())) << users.status();
    return;
  }
  for (const absl::string_view key : {"ann", "bob", ""}) {
    users->Prefetch(key);
    const auto found = users->Find(key);
    if (!found.ok()) {
      CHECK(absl::IsDataLoss(found.status())) << found.status();
    } else if (found->has_value()) {
      CHECK((*found)->key() == key);
      CheckRecord(**found);
    }
  }
  const absl::Status checked = users->Check(10);
  CHECK(checked.ok() || absl::IsDataLoss(checked)) << checked;
}

std::string Seed(std::initializer_list<std::pair<absl::string_view, v1::SnapshotUser>> users) {
  std::string records;
  for (const auto& [key, user] : users) CHECK(format::AppendUserRecord(key, user, &records).ok());
  const std::string index = *format::EncodeUserIndex(records);
  const auto size = static_cast<uint16_t>(index.size());
  return std::string(reinterpret_cast<const char*>(&size), sizeof(size)) + index + records;
}

}  // namespace

std::vector<std::string> FuzzSeeds() {
  v1::SnapshotUser user;
  for (uint32_t item : {1, 3, 4}) {
    user.mutable_list()->add_items(item);
    user.mutable_list()->add_scores(1.0F / static_cast<float>(item));
    v1::Profile* const profile = user.mutable_profile();
    profile->add_items(item);
    profile->add_kinds(item == 3 ? v1::VIEW : v1::PURCHASE);
    profile->add_event_times_unix_ms(1'600'000'000'000 + item * 1'000);
    profile->add_partitions(static_cast<int32_t>(item) - 2);
    profile->add_offsets(item * int64_t{1'000'000'000'000});
    profile->add_values_micros(item);
  }
  v1::SnapshotUser forgotten;
  forgotten.mutable_profile()->set_forgotten_until_unix_ms(1'600'000'000'000);
  return {Seed({}), Seed({{"ann", user}}),
          Seed({{"\x01"
                 "digest",
                 forgotten},
                {"ann", user},
                {"bob", {}}})};
}

}  // namespace tributary::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary;
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  const fuzz::Copy copy(bytes);
  if (const auto record = snapshot_format::UserRecord::Parse(copy.bytes()); record.ok()) {
    CHECK_LE(record->size_bytes(), size);
    fuzz::CheckRecord(*record);
  } else {
    CHECK(absl::IsDataLoss(record.status())) << record.status();
  }
  uint16_t index_size = 0;
  if (size >= sizeof(index_size)) {
    std::memcpy(&index_size, data, sizeof(index_size));
    const absl::string_view rest = bytes.substr(sizeof(index_size));
    const size_t index = std::min<size_t>(index_size, rest.size());
    fuzz::CheckFiles(rest.substr(0, index), rest.substr(index));
  }
  return 0;
}
