#include "common/snapshot/user_records.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <utility>

#include "absl/numeric/int128.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/status/status_macros.h"

namespace tributary::snapshot_format {
namespace {

constexpr size_t kWord = 8;
constexpr size_t kColumns = 6;
constexpr size_t kLineBytes = 64;
constexpr size_t kPrefetchedLines = 8;  // Of a record: key, some dozens of decisions, the first items of the list.
constexpr uint32_t kMostKinds = 16;  // More than the kinds that a history keeps, of each the latest on an item.

enum Flag : uint8_t { kHasList = 1, kHasProfile = 2, kForgotten = 4, kListFalls = 8, kAllFlags = 15 };

struct RecordHeader {
  uint32_t size;
  uint32_t list_length;
  uint32_t decisions;
  uint16_t key_size;
  uint8_t flags;
  uint8_t reserved;
  std::array<uint8_t, kColumns> widths;
  std::array<uint8_t, 2> also_reserved;
};
static_assert(sizeof(RecordHeader) == 24);
static_assert(sizeof(ScoredItem) == 8 && offsetof(ScoredItem, score) == 4, "lists are read in place");

constexpr absl::string_view kIndexMagic = "TRBUSERS";
constexpr uint32_t kIndexVersion = 1;
constexpr size_t kBucketSlots = kLineBytes / sizeof(uint64_t);
constexpr uint64_t kUsersPerBucket = 5;  // So that few of them overflow.
constexpr int kOffsetBits = 48;
constexpr uint64_t kOffsetMask = (uint64_t{1} << kOffsetBits) - 1;

struct IndexHeader {
  char magic[8];
  uint32_t version;
  uint32_t reserved;
  uint64_t users;
  uint64_t buckets;
  uint64_t records_size;
  std::array<uint64_t, 3> also_reserved;
};
static_assert(sizeof(IndexHeader) == kLineBytes);

constexpr size_t Padded(size_t size) { return (size + kWord - 1) / kWord * kWord; }

void Pad(std::string* bytes) { bytes->resize(Padded(bytes->size())); }

template <typename Value>
void Append(const Value& value, std::string* bytes) {
  bytes->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

template <typename Value>
Value Load(const char* at) {
  Value value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

absl::Status Damaged(absl::string_view what, uint64_t offset) {
  return absl::DataLossError(absl::StrCat(what, ": offset=", offset));
}

// ---- Columns ----

int64_t NumberOf(const Decision& decision, size_t column) {
  switch (column) {
    case 0:
      return Value(decision.item);
    case 1:
      return decision.kind;
    case 2:
      return decision.key.event_time_unix_ms;
    case 3:
      return Value(decision.key.position.partition);
    case 4:
      return Value(decision.key.position.offset);
    default:
      return decision.value_micros;
  }
}

// From `base` to `most`. Unsigned, since the whole range of int64 is 64 bits wide.
uint8_t WidthOf(int64_t base, int64_t most) {
  const uint64_t range = static_cast<uint64_t>(most) - static_cast<uint64_t>(base);
  return range == 0 ? 0 : range <= 0xFF ? 1 : range <= 0xFFFF ? 2 : range <= 0xFFFF'FFFF ? 4 : 8;
}

bool IsWidth(uint8_t width) { return width <= 8 && (width & (width - 1)) == 0; }

template <typename Delta, typename Set>
const char* ReadDeltas(const char* at, int64_t base, absl::Span<Decision> decisions, Set set) {
  for (Decision& decision : decisions) {
    set(decision, static_cast<int64_t>(static_cast<uint64_t>(base) + Load<Delta>(at)));
    at += sizeof(Delta);
  }
  return at;
}

// Answers where the column ended.
template <typename Set>
const char* ReadColumn(const char* at, uint8_t width, int64_t base, absl::Span<Decision> decisions, Set set) {
  switch (width) {
    case 0:
      for (Decision& decision : decisions) {
        set(decision, base);
      }
      return at;
    case 1:
      return ReadDeltas<uint8_t>(at, base, decisions, set);
    case 2:
      return ReadDeltas<uint16_t>(at, base, decisions, set);
    case 4:
      return ReadDeltas<uint32_t>(at, base, decisions, set);
    default:
      return ReadDeltas<uint64_t>(at, base, decisions, set);
  }
}

// ---- Index ----

uint64_t HashOf(absl::string_view key) { return XXH3_64bits(key.data(), key.size()); }

uint64_t TagOf(uint64_t hash) { return hash << kOffsetBits; }

uint64_t BucketOf(uint64_t hash, uint64_t buckets) { return absl::Uint128High64(absl::uint128(hash) * buckets); }

absl::Status Unfit(absl::string_view what, absl::string_view key) {
  return absl::InvalidArgumentError(absl::StrCat("snapshot user ", what, ": key=", absl::CHexEscape(key)));
}

}  // namespace

absl::StatusOr<UserRecord> UserRecord::Parse(absl::string_view bytes) {
  if (bytes.size() < sizeof(RecordHeader)) {
    return absl::DataLossError("user record cut short");
  }
  const auto header = Load<RecordHeader>(bytes.data());
  size_t size = sizeof(header) + Padded(header.key_size);
  const size_t numbers = size;
  size += (header.flags & kForgotten) != 0 ? sizeof(int64_t) : 0;
  if (header.decisions > 0) {
    size_t width = 0;
    for (const uint8_t column : header.widths) {
      if (!IsWidth(column)) {
        return absl::DataLossError("user record with a width that is none");
      }
      width += column;
    }
    // Else a few bytes could ask for any amount of memory.
    if (header.widths[0] == 0 && header.decisions > kMostKinds) {
      return absl::DataLossError("user record with too many decisions on one item");
    }
    size += Padded(kColumns * sizeof(int64_t) + width * header.decisions);
  }
  const size_t list = size;
  size += size_t{header.list_length} * sizeof(ScoredItem);
  if (size != size_t{header.size} * kWord || size > bytes.size() || header.flags > kAllFlags) {
    return absl::DataLossError("user record of another size than it says");
  }
  UserRecord record;
  record.header_ = bytes.data();
  record.key_ = bytes.substr(sizeof(header), header.key_size);
  record.numbers_ = bytes.data() + numbers;
  record.list_ = absl::MakeConstSpan(reinterpret_cast<const ScoredItem*>(bytes.data() + list), header.list_length);
  record.size_bytes_ = size;
  return record;
}

bool UserRecord::has_list() const { return (Load<RecordHeader>(header_).flags & kHasList) != 0; }
bool UserRecord::has_profile() const { return (Load<RecordHeader>(header_).flags & kHasProfile) != 0; }

bool UserRecord::list_falls() const { return (Load<RecordHeader>(header_).flags & kListFalls) != 0; }

absl::Status UserRecord::ReadHistory(std::vector<Decision>* scratch, UserHistory* history) const {
  const auto header = Load<RecordHeader>(header_);
  const char* at = numbers_;
  std::optional<int64_t> forgotten_until_unix_ms;
  if ((header.flags & kForgotten) != 0) {
    forgotten_until_unix_ms = Load<int64_t>(at);
    at += sizeof(int64_t);
  }
  scratch->resize(header.decisions);
  if (header.decisions > 0) {
    const auto bases = Load<std::array<int64_t, kColumns>>(at);
    at += sizeof(bases);
    const auto read = [&](size_t column, auto set) {
      at = ReadColumn(at, header.widths[column], bases[column], absl::MakeSpan(*scratch), set);
    };
    read(0, [](Decision& decision, int64_t number) { decision.item = ItemNumber{static_cast<uint32_t>(number)}; });
    read(1, [](Decision& decision, int64_t number) { decision.kind = static_cast<EventType>(number); });
    read(2, [](Decision& decision, int64_t number) { decision.key.event_time_unix_ms = number; });
    read(3, [](Decision& decision, int64_t number) {
      decision.key.position.partition = PartitionId{static_cast<int32_t>(number)};
    });
    read(4, [](Decision& decision, int64_t number) { decision.key.position.offset = Offset{number}; });
    read(5, [](Decision& decision, int64_t number) { decision.value_micros = number; });
  }
  const absl::Status status = history->Assign(scratch, forgotten_until_unix_ms);
  return status.ok() ? status : absl::DataLossError(absl::StrCat("user record unreadable: error=", status.message()));
}

absl::Status UserRecord::ToProto(v1::SnapshotUser* user) const {
  user->Clear();
  if (has_list()) {
    user->mutable_list();
    for (const ScoredItem& scored : list_) {
      user->mutable_list()->add_items(Value(scored.item));
      user->mutable_list()->add_scores(scored.score);
    }
  }
  if (has_profile()) {
    UserHistory history;
    std::vector<Decision> scratch;
    TRIBUTARY_RETURN_IF_ERROR(ReadHistory(&scratch, &history));
    history.ToProto(user->mutable_profile());
  }
  return absl::OkStatus();
}

absl::Status AppendUserRecord(absl::string_view key, const v1::SnapshotUser& user, std::string* bytes) {
  UserHistory history;
  if (const absl::Status status = history.Assign(user.profile()); !status.ok()) {
    return Unfit(absl::StrCat("with a profile that is none: error=", status.message()), key);
  }
  const absl::Span<const Decision> decisions = history.decisions();
  const v1::ScoredItems& list = user.list();
  if (list.items_size() != list.scores_size()) {
    return Unfit("with a list of unequal arrays", key);
  }
  if (key.size() > std::numeric_limits<uint16_t>::max()) {
    return Unfit("with too long an id", key.substr(0, 256));
  }
  RecordHeader header{};
  header.list_length = static_cast<uint32_t>(list.items_size());
  header.decisions = static_cast<uint32_t>(decisions.size());
  header.key_size = static_cast<uint16_t>(key.size());
  header.flags = static_cast<uint8_t>(
      (user.has_list() ? kHasList : 0) | (user.has_profile() ? kHasProfile : 0) |
      (history.forgotten_until_unix_ms() ? kForgotten : 0) |
      (std::is_sorted(list.scores().begin(), list.scores().end(), std::greater<>()) ? kListFalls : 0));
  std::array<int64_t, kColumns> bases{};
  for (size_t column = 0; column < kColumns && !decisions.empty(); ++column) {
    int64_t most = bases[column] = NumberOf(decisions.front(), column);
    for (const Decision& decision : decisions) {
      const int64_t number = NumberOf(decision, column);
      bases[column] = std::min(bases[column], number);
      most = std::max(most, number);
    }
    header.widths[column] = WidthOf(bases[column], most);
  }

  const size_t begin = bytes->size();
  Append(header, bytes);
  bytes->append(key.data(), key.size());
  Pad(bytes);
  if (history.forgotten_until_unix_ms()) {
    Append(*history.forgotten_until_unix_ms(), bytes);
  }
  if (!decisions.empty()) {
    Append(bases, bytes);
    for (size_t column = 0; column < kColumns; ++column) {
      for (const Decision& decision : decisions) {
        const uint64_t delta = static_cast<uint64_t>(NumberOf(decision, column)) - static_cast<uint64_t>(bases[column]);
        bytes->append(reinterpret_cast<const char*>(&delta),
                      header.widths[column]);  // Little endian: the lowest bytes.
      }
    }
    Pad(bytes);
  }
  for (int i = 0; i < list.items_size(); ++i) {
    Append(ScoredItem{.item = ItemNumber{list.items(i)}, .score = list.scores(i)}, bytes);
  }
  const size_t size = bytes->size() - begin;
  if (size / kWord > std::numeric_limits<uint32_t>::max()) {
    return Unfit("too large", key);
  }
  header.size = static_cast<uint32_t>(size / kWord);
  std::memcpy(bytes->data() + begin, &header, sizeof(header));
  return absl::OkStatus();
}

absl::StatusOr<UserIndex> UserIndex::Parse(absl::string_view index, absl::string_view records) {
  if (index.size() < sizeof(IndexHeader)) {
    return Damaged("header cut short", index.size());
  }
  const auto header = Load<IndexHeader>(index.data());
  if (absl::string_view(header.magic, sizeof(header.magic)) != kIndexMagic) {
    return Damaged("wrong magic", offsetof(IndexHeader, magic));
  }
  if (header.version > kIndexVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("newer version than this build reads: version=", header.version, " known=", kIndexVersion));
  }
  if (header.version != kIndexVersion) {
    return Damaged("wrong version", offsetof(IndexHeader, version));
  }
  if (header.reserved != 0 || header.also_reserved != decltype(header.also_reserved){}) {
    return Damaged("reserved bytes are not zero", offsetof(IndexHeader, reserved));
  }
  const uint64_t slot_bytes = index.size() - sizeof(header);
  if (header.buckets == 0 || slot_bytes % kLineBytes != 0 || header.buckets != slot_bytes / kLineBytes) {
    return Damaged("buckets do not fill the file", offsetof(IndexHeader, buckets));
  }
  if (header.records_size != records.size()) {
    return Damaged("index is of another file", offsetof(IndexHeader, records_size));
  }
  UserIndex parsed;
  parsed.slots_ = absl::MakeConstSpan(reinterpret_cast<const uint64_t*>(index.data() + sizeof(header)),
                                      header.buckets * kBucketSlots);
  parsed.records_ = records;
  parsed.users_ = header.users;
  parsed.buckets_ = header.buckets;
  return parsed;
}

absl::StatusOr<UserRecord> UserIndex::RecordAt(uint64_t offset) const {
  if (offset >= records_.size()) {
    return Damaged("user record beyond the file", offset);
  }
  absl::StatusOr<UserRecord> record = UserRecord::Parse(records_.substr(offset));
  return record.ok() ? record : Damaged(record.status().message(), offset);
}

absl::StatusOr<std::optional<UserRecord>> UserIndex::Find(absl::string_view key) const {
  const uint64_t hash = HashOf(key);
  const uint64_t tag = TagOf(hash);
  uint64_t bucket = BucketOf(hash, buckets_);
  for (uint64_t tried = 0; tried < buckets_; ++tried) {
    for (const uint64_t slot : slots_.subspan(bucket * kBucketSlots, kBucketSlots)) {
      if (slot == 0) {
        return std::nullopt;
      }
      if ((slot & ~kOffsetMask) != tag) {
        continue;
      }
      TRIBUTARY_ASSIGN_OR_RETURN(const UserRecord record, RecordAt(((slot & kOffsetMask) - 1) * kWord));
      if (record.key() == key) {
        return record;
      }
    }
    bucket = bucket + 1 == buckets_ ? 0 : bucket + 1;
  }
  return std::nullopt;
}

void UserIndex::Prefetch(absl::string_view key) const {
  const uint64_t hash = HashOf(key);
  const uint64_t tag = TagOf(hash);
  for (const uint64_t slot : slots_.subspan(BucketOf(hash, buckets_) * kBucketSlots, kBucketSlots)) {
    if (slot != 0 && (slot & ~kOffsetMask) == tag) {
      const char* const record = records_.data() + ((slot & kOffsetMask) - 1) * kWord;
      for (size_t line = 0; line < kPrefetchedLines; ++line) {
        __builtin_prefetch(record + line * kLineBytes);  // Of no address that is bad for it.
      }
      return;
    }
  }
}

absl::Status UserIndex::Check(uint32_t items) const {
  uint64_t users = 0;
  std::optional<absl::string_view> before;
  std::vector<Decision> scratch;
  UserHistory history;
  const absl::Status checked = ForEach([&](const UserRecord& record) -> absl::Status {
    const auto offset = static_cast<uint64_t>(record.key().data() - records_.data()) - sizeof(RecordHeader);
    TRIBUTARY_ASSIGN_OR_RETURN(const std::optional<UserRecord> found, Find(record.key()));
    if ((before && *before >= record.key()) || !found || found->key().data() != record.key().data()) {
      return Damaged("user record out of order, or not in the index", offset);
    }
    TRIBUTARY_RETURN_IF_ERROR(record.ReadHistory(&scratch, &history));
    const absl::Span<const ScoredItem> list = record.list();
    if (!std::all_of(list.begin(), list.end(),
                     [items](const ScoredItem& scored) {
                       return Value(scored.item) < items && std::isfinite(scored.score) && scored.score >= 0;
                     }) ||
        (!history.decisions().empty() && Value(history.decisions().back().item) >= items)) {
      return Damaged("user record with an item or a score out of range", offset);
    }
    if (record.list_falls() != std::is_sorted(list.begin(), list.end(), [](const ScoredItem& a, const ScoredItem& b) {
          return a.score > b.score;
        })) {
      return Damaged("user record with a list in another order than it says", offset);
    }
    before = record.key();
    ++users;
    return absl::OkStatus();
  });
  TRIBUTARY_RETURN_IF_ERROR(checked);
  return users == users_ ? absl::OkStatus()
                         : Damaged("index is of another number of users", offsetof(IndexHeader, users));
}

absl::StatusOr<std::string> EncodeUserIndex(absl::string_view records) {
  uint64_t users = 0;
  for (size_t offset = 0; offset < records.size(); ++users) {
    TRIBUTARY_ASSIGN_OR_RETURN(const UserRecord record, UserRecord::Parse(records.substr(offset)));
    offset += record.size_bytes();
  }
  if (records.size() / kWord >= kOffsetMask) {
    return absl::InvalidArgumentError(absl::StrCat("snapshot users too large: size_bytes=", records.size()));
  }
  IndexHeader header{};
  std::memcpy(header.magic, kIndexMagic.data(), sizeof(header.magic));
  header.version = kIndexVersion;
  header.users = users;
  header.buckets = users / kUsersPerBucket + 1;
  header.records_size = records.size();
  std::string bytes(sizeof(header) + header.buckets * kLineBytes, '\0');
  std::memcpy(bytes.data(), &header, sizeof(header));
  char* const slots = bytes.data() + sizeof(header);
  const uint64_t slot_count = header.buckets * kBucketSlots;
  for (size_t offset = 0; offset < records.size();) {
    const auto record = Load<RecordHeader>(records.data() + offset);
    const uint64_t hash = HashOf(records.substr(offset + sizeof(record), record.key_size));
    uint64_t slot = BucketOf(hash, header.buckets) * kBucketSlots;
    while (Load<uint64_t>(slots + slot * sizeof(uint64_t)) != 0) {
      slot = slot + 1 == slot_count ? 0 : slot + 1;
    }
    const uint64_t value = TagOf(hash) | (offset / kWord + 1);
    std::memcpy(slots + slot * sizeof(value), &value, sizeof(value));
    offset += size_t{record.size} * kWord;
  }
  return bytes;
}

}  // namespace tributary::snapshot_format
