#include "common/snapshot/user_records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "tests/common/snapshot/sample.h"

namespace tributary::snapshot_format {
namespace {

using testing::HasSubstr;

// Bytes at an address that is a multiple of 64, as a mapped file's are.
class Mapped {
 public:
  explicit Mapped(const std::string& bytes) : lines_(bytes.size() / 64 + 1), size_(bytes.size()) {
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(lines_.data()));
  }
  absl::string_view bytes() const { return {reinterpret_cast<const char*>(lines_.data()), size_}; }

 private:
  struct alignas(64) Line {
    std::array<char, 64> bytes{};
  };
  std::vector<Line> lines_;
  size_t size_;
};

void Add(int64_t time, int64_t offset, int64_t value, v1::Profile* profile) {
  profile->add_items(static_cast<uint32_t>(profile->items_size()));
  profile->add_kinds(profile->items_size() % 2 == 0 ? v1::VIEW : v1::RATING);
  profile->add_event_times_unix_ms(time);
  profile->add_partitions(profile->items_size() - 2);
  profile->add_offsets(offset);
  profile->add_values_micros(value);
}

v1::SnapshotUser WithProfile(int decisions, int64_t step) {
  v1::SnapshotUser user;
  for (int64_t i = 0; i < decisions; ++i) {
    Add(1'600'000'000'000 + i * step, i * step, -i * step, user.mutable_profile());
  }
  return user;
}

TEST(UserRecordTest, WhatWasWrittenIsReadBack) {
  std::vector<v1::SnapshotUser> users(3);
  users[1].mutable_list();
  users[2].mutable_profile()->set_forgotten_until_unix_ms(-5);
  for (const int64_t step : {int64_t{0}, int64_t{1}, int64_t{51}, int64_t{52}, int64_t{13'107}, int64_t{13'108},
                             int64_t{1} << 29, int64_t{1} << 30, int64_t{1} << 40}) {
    for (const int decisions : {1, 2, 6}) {
      users.push_back(WithProfile(decisions, step));
      for (int i = 0; i < decisions; ++i) {
        users.back().mutable_list()->add_items(static_cast<uint32_t>(7 * i));
        users.back().mutable_list()->add_scores(1.0F / static_cast<float>(1 + i));
      }
    }
  }
  users.push_back(WithProfile(4, 3));
  users.back().mutable_profile()->set_forgotten_until_unix_ms(1);
  constexpr int64_t kLeast = std::numeric_limits<int64_t>::min(), kMost = std::numeric_limits<int64_t>::max();
  v1::SnapshotUser& extreme = users.emplace_back();
  Add(kLeast, kMost, kMost, extreme.mutable_profile());
  Add(kMost, 0, kLeast, extreme.mutable_profile());
  extreme.mutable_profile()->set_items(1, std::numeric_limits<uint32_t>::max());
  extreme.mutable_profile()->set_partitions(0, std::numeric_limits<int32_t>::max());

  for (const v1::SnapshotUser& user : users) {
    for (const std::string& key : {std::string("u"), std::string("a key of eight bytes or more")}) {
      std::string bytes;
      ASSERT_TRUE(AppendUserRecord(key, user, &bytes).ok()) << user.ShortDebugString();
      EXPECT_EQ(bytes.size() % 8, 0u);
      const Mapped mapped(bytes + std::string(16, '\xff'));  // What follows is not its own.
      const auto record = UserRecord::Parse(mapped.bytes());
      ASSERT_TRUE(record.ok()) << record.status() << user.ShortDebugString();
      EXPECT_EQ(record->size_bytes(), bytes.size());
      EXPECT_EQ(record->key(), key);
      v1::SnapshotUser read;
      ASSERT_TRUE(record->ToProto(&read).ok());
      EXPECT_EQ(read.SerializeAsString(), user.SerializeAsString())
          << read.ShortDebugString() << user.ShortDebugString();
    }
  }
}

TEST(UserRecordTest, SaysWhetherScoresFall) {
  for (const auto& [scores, fall] : std::vector<std::pair<std::vector<float>, bool>>{
           {{}, true}, {{1}, true}, {{1, 1, .5F}, true}, {{1, .5F, .75F}, false}}) {
    v1::SnapshotUser user;
    for (const float score : scores) {
      user.mutable_list()->add_items(0);
      user.mutable_list()->add_scores(score);
    }
    std::string bytes;
    ASSERT_TRUE(AppendUserRecord("u", user, &bytes).ok());
    EXPECT_EQ(UserRecord::Parse(Mapped(bytes).bytes())->list_falls(), fall);
  }
}

TEST(UserRecordTest, EqualNumbersTakeNoBytes) {
  std::string one, six;
  ASSERT_TRUE(AppendUserRecord("u", WithProfile(1, 0), &one).ok());
  ASSERT_TRUE(AppendUserRecord("u", WithProfile(6, 0), &six).ok());
  EXPECT_EQ(six.size() - one.size(), 3u * 6 + 6);  // Items, kinds, partitions, and their padding.
}

class UserIndexTest : public testing::Test {
 protected:
  static constexpr int kUsers = 3'000;

  static std::string Key(int user) { return absl::StrFormat("user-%06d", user); }

  UserIndexTest() {
    for (int user = 0; user < kUsers; ++user) {
      EXPECT_TRUE(AppendUserRecord(Key(user), sample::UserNumbered(user), &records_).ok());
    }
    const auto index = EncodeUserIndex(records_);
    EXPECT_TRUE(index.ok()) << index.status();
    index_ = *index;
  }

  // Whatever the bytes are, nothing crashes, and what is found is what was asked for.
  static absl::Status Walk(const std::string& index_bytes, const std::string& record_bytes) {
    const Mapped index(index_bytes), records(record_bytes);
    const auto users = UserIndex::Parse(index.bytes(), records.bytes());
    if (!users.ok()) {
      return users.status();
    }
    for (const int user : {0, 7, kUsers - 1, kUsers}) {
      users->Prefetch(Key(user));
      if (const auto found = users->Find(Key(user)); found.ok() && found->has_value()) {
        EXPECT_EQ((*found)->key(), Key(user));
        std::vector<Decision> scratch;
        UserHistory history;
        (void)(*found)->ReadHistory(&scratch, &history);
      }
    }
    return users->Check(sample::kItems);
  }

  std::string records_;
  std::string index_;
};

TEST_F(UserIndexTest, EveryKeyIsFoundAndNoOther) {
  const Mapped index(index_), records(records_);
  const auto users = UserIndex::Parse(index.bytes(), records.bytes());
  ASSERT_TRUE(users.ok()) << users.status();
  EXPECT_EQ(users->users(), uint64_t{kUsers});
  for (int user = 0; user < kUsers; ++user) {
    const auto found = users->Find(Key(user));
    ASSERT_TRUE(found.ok() && found->has_value()) << user;
    EXPECT_EQ((*found)->key(), Key(user));
    EXPECT_FALSE(users->Find(Key(kUsers + user)).value().has_value());
  }
  EXPECT_FALSE(users->Find("").value().has_value());
  EXPECT_TRUE(users->Check(sample::kItems).ok()) << users->Check(sample::kItems);
  EXPECT_THAT(users->Check(sample::kItems - 1).message(), HasSubstr("out of range"));
  int visited = 0;
  EXPECT_TRUE(users
                  ->ForEach([&](const UserRecord& record) {
                    EXPECT_EQ(record.key(), Key(visited++));
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_EQ(visited, kUsers);
}

TEST_F(UserIndexTest, EveryDefectOfTheIndexIsFound) {
  ASSERT_TRUE(Walk(index_, records_).ok());
  for (size_t at = 0; at < index_.size(); at += at < 64 ? 1 : 37) {
    for (const char flip : {'\x01', '\x40'}) {
      std::string bad = index_;
      bad[at] = static_cast<char>(bad[at] ^ flip);
      const absl::Status status = Walk(bad, records_);
      // A slot that points at nothing may lie behind all that are looked at: the content digest finds it.
      const bool was_free =
          at >= 64 && std::all_of(&index_[at / 8 * 8], &index_[at / 8 * 8] + 8, [](char c) { return c == 0; });
      EXPECT_TRUE(was_free || !status.ok()) << at;
      EXPECT_TRUE(status.ok() || absl::IsDataLoss(status) || absl::IsFailedPrecondition(status)) << at << status;
    }
  }
  for (const size_t size : {size_t{0}, size_t{63}, size_t{64}, index_.size() - 64, index_.size() - 1}) {
    EXPECT_TRUE(absl::IsDataLoss(Walk(index_.substr(0, size), records_))) << size;
  }
  EXPECT_THAT(Walk(index_, records_.substr(0, records_.size() - 8)).message(), HasSubstr("of another file"));
  std::string newer = index_;
  newer[8] = 2;
  EXPECT_TRUE(absl::IsFailedPrecondition(Walk(newer, records_)));
}

TEST_F(UserIndexTest, DamagedRecordsCrashNothing) {
  for (size_t at = 0; at < 1'000; ++at) {
    for (const char flip : {'\x01', '\x10', '\x80'}) {
      std::string bad = records_;
      bad[at] = static_cast<char>(bad[at] ^ flip);
      const absl::Status status = Walk(index_, bad);
      EXPECT_TRUE(status.ok() || absl::IsDataLoss(status)) << at << status;
    }
  }
}

}  // namespace
}  // namespace tributary::snapshot_format
