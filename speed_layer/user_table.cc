#include "speed_layer/user_table.h"

#include <atomic>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "common/status/status_macros.h"
#include "common/wire/wire.h"

namespace tributary::speed {
namespace {

constexpr size_t kSpillUsers = 1000;  // Written at a time.
constexpr size_t kScanUsers = 1000;
constexpr size_t kLoadUsers = 1000;
constexpr size_t kNumberBytes = sizeof(uint64_t);

void AppendNumber(uint64_t number, std::string* bytes) {
  char* at = wire::Extend(bytes, kNumberBytes);
  wire::WriteFixed64(number, at);
}

// What is wrong with a local store is never mended by asking again: the instance begins anew, with a new one.
absl::Status Broken(const absl::Status& status) {
  return absl::InternalError(absl::StrCat("users on the local disk cannot be read: ", status.message()));
}

}  // namespace

// Keys: a number of this table, eight bytes, and the user id. Values: a number of the copy, eight bytes, and the view.
struct UserTable::Spilled {
  explicit Spilled(LocalStore& local_store) : store(local_store) {
    static std::atomic<uint64_t> tables{0};
    const uint64_t table = ++tables;
    for (int shift = 56; shift >= 0; shift -= 8) prefix.push_back(static_cast<char>(table >> shift));
    for (int shift = 56; shift >= 0; shift -= 8) end.push_back(static_cast<char>((table + 1) >> shift));
  }
  ~Spilled() { store.Drop(prefix, end); }

  std::string Key(absl::string_view user_id) const { return absl::StrCat(prefix, user_id); }
  // The user of a copy; unset when it is an older one.
  absl::StatusOr<std::optional<LiveUser>> Read(size_t hash, absl::string_view value) {
    wire::Reader reader(value);
    uint64_t number = 0;
    if (!reader.ReadFixed64(&number)) return absl::InternalError("users on the local disk cannot be read: no number");
    const auto known = numbers.find(hash);
    if (known == numbers.end() || known->second != number) return std::nullopt;
    absl::StatusOr<LiveUser> user = LiveUser::FromBytes(value.substr(kNumberBytes));
    if (!user.ok()) return Broken(user.status());
    return *std::move(user);
  }

  LocalStore& store;
  std::string prefix;
  std::string end;
  absl::flat_hash_map<uint64_t, uint64_t> numbers;  // Hash of a user id -> number of the copy; never two of one hash.
  uint64_t last_number = 0;
  std::string cursor;  // Of VisitSpilled.
};

UserTable::UserTable(LocalStore* store) : spilled_(store == nullptr ? nullptr : std::make_unique<Spilled>(*store)) {}
UserTable::~UserTable() = default;
UserTable::UserTable(UserTable&&) noexcept = default;
UserTable& UserTable::operator=(UserTable&&) noexcept = default;

size_t UserTable::spilled_users() const { return spilled_ == nullptr ? 0 : spilled_->numbers.size(); }

UserEntry& UserTable::Insert(absl::string_view user_id, LiveUser user) {
  UserEntry& entry = **ShardOf(Hash()(user_id)).insert(std::make_unique<UserEntry>(user_id)).first;
  entry.user = std::move(user);
  entry.published = true;
  Count(entry);
  return entry;
}

absl::StatusOr<UserEntry*> UserTable::LoadSpilled(absl::string_view user_id, bool* loaded) {
  const auto mark = [loaded](UserEntry&) { *loaded = true; };
  TRIBUTARY_RETURN_IF_ERROR(LoadAhead({user_id}, mark));
  Shard& shard = ShardOf(Hash()(user_id));
  return shard.insert(std::make_unique<UserEntry>(user_id)).first->get();
}

absl::Status UserTable::LoadAhead(absl::Span<const absl::string_view> user_ids,
                                  absl::FunctionRef<void(UserEntry&)> loaded) {
  if (spilled_users() == 0) return absl::OkStatus();
  for (size_t begin = 0; begin < user_ids.size();) {
    std::vector<absl::string_view> wanted;
    std::vector<std::string> keys;
    for (; begin < user_ids.size() && keys.size() < kLoadUsers; ++begin) {
      if (!spilled_->numbers.contains(Hash()(user_ids[begin]))) continue;
      wanted.push_back(user_ids[begin]);
      keys.push_back(spilled_->Key(user_ids[begin]));
    }
    if (keys.empty()) continue;
    absl::StatusOr<std::vector<std::optional<std::string>>> values = spilled_->store.Get(keys);
    if (!values.ok()) return Broken(values.status());
    for (size_t i = 0; i < wanted.size(); ++i) {
      if (!(*values)[i]) continue;  // Of another user with this hash.
      const size_t hash = Hash()(wanted[i]);
      TRIBUTARY_ASSIGN_OR_RETURN(std::optional<LiveUser> user, spilled_->Read(hash, *(*values)[i]));
      if (!user) continue;
      spilled_->numbers.erase(hash);
      loaded(Insert(wanted[i], *std::move(user)));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> UserTable::Spill(int64_t bytes) {
  if (spilled_ == nullptr) return 0;
  const int64_t target = this->bytes() - bytes;
  int64_t count = 0;
  // Two rounds: the first may find everybody used since the hand came by.
  for (size_t looked_at = 0; looked_at < 2 * kShards && this->bytes() > target; ++looked_at) {
    std::vector<UserEntry*> idle;
    for (const std::unique_ptr<UserEntry>& entry : shards_[hand_]) {
      if (std::exchange(entry->used, false) || entry->changed || !entry->published) continue;
      if (!spilled_->numbers.contains(Hash()(entry->user_id))) idle.push_back(entry.get());
    }
    hand_ = (hand_ + 1) % kShards;
    for (size_t begin = 0; begin < idle.size() && this->bytes() > target; begin += kSpillUsers) {
      const auto some = absl::MakeConstSpan(idle).subspan(begin, kSpillUsers);
      std::vector<LocalStore::Entry> entries;
      const uint64_t first_number = spilled_->last_number + 1;
      for (const UserEntry* entry : some) {
        std::string value;
        AppendNumber(++spilled_->last_number, &value);
        entry->user.AppendBytes(&value);
        entries.emplace_back(spilled_->Key(entry->user_id), std::move(value));
      }
      TRIBUTARY_RETURN_IF_ERROR(spilled_->store.Put(entries));
      for (size_t i = 0; i < some.size(); ++i) {
        // Two of one hash among these: the second stays, and its copy counts for nobody.
        if (!spilled_->numbers.emplace(Hash()(some[i]->user_id), first_number + i).second) continue;
        Erase(some[i]->user_id);
        ++count;
      }
    }
  }
  return count;
}

absl::StatusOr<bool> UserTable::VisitSpilled(bool from_the_beginning, absl::FunctionRef<bool(LiveUser&)> changes,
                                             absl::FunctionRef<void(UserEntry&)> loaded) {
  if (spilled_users() == 0) return false;
  if (from_the_beginning) spilled_->cursor = spilled_->prefix;
  absl::StatusOr<std::vector<LocalStore::Entry>> entries =
      spilled_->store.Scan(spilled_->cursor, spilled_->end, kScanUsers);
  if (!entries.ok()) return Broken(entries.status());
  for (const auto& [key, value] : *entries) {
    const absl::string_view user_id = absl::string_view(key).substr(spilled_->prefix.size());
    const size_t hash = Hash()(user_id);
    TRIBUTARY_ASSIGN_OR_RETURN(std::optional<LiveUser> user, spilled_->Read(hash, value));
    if (!user || !changes(*user)) continue;
    spilled_->numbers.erase(hash);
    loaded(Insert(user_id, *std::move(user)));
  }
  if (entries->size() < kScanUsers) return false;
  spilled_->cursor = absl::StrCat(entries->back().first, absl::string_view("\0", 1));
  return true;
}

}  // namespace tributary::speed
