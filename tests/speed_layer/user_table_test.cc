#include "speed_layer/user_table.h"

#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/fakes/fake_local_store.h"
#include "tests/speed_layer/test_events.h"

namespace tributary::speed {
namespace {

constexpr int64_t kAll = 1LL << 40;

class UserTableTest : public ::testing::Test {
 protected:
  // As the partition does: an event, then written.
  UserEntry& Act(const std::string& user, int64_t offset) {
    bool loaded = false;
    UserEntry& entry = **table_.Load(user, &loaded);
    const auto event = ParseEvent(Bytes({.user = user, .item = absl::StrCat("item", offset)}), kNowMs);
    entry.user.Apply(std::get<Event>(event), Offset{offset}, kNowMs, {.facts = 100});
    entry.published = true;
    table_.Count(entry);
    return entry;
  }
  size_t FactsOf(const std::string& user) {
    bool loaded = false;
    return (*table_.Load(user, &loaded))->user.facts().size();
  }

  FakeLocalStore store_;
  UserTable table_{&store_};
};

TEST_F(UserTableTest, WhoWasSpilledComesBackWithEverything) {
  for (int i = 0; i < 50; ++i) Act(absl::StrCat("user", i % 10), i);
  std::string before;
  table_.Find("user3")->user.AppendBytes(&before);
  EXPECT_EQ(*table_.Spill(kAll), 10);
  EXPECT_EQ(table_.size(), 0u);
  EXPECT_EQ(table_.bytes(), 0);
  EXPECT_EQ(table_.spilled_users(), 10u);
  bool loaded = false;
  const UserEntry& entry = **table_.Load("user3", &loaded);
  EXPECT_TRUE(loaded);
  EXPECT_TRUE(entry.published);
  EXPECT_FALSE(entry.changed);
  std::string after;
  entry.user.AppendBytes(&after);
  EXPECT_EQ(after, before);
  EXPECT_EQ(table_.spilled_users(), 9u);
  EXPECT_GT(table_.bytes(), 0);
}

TEST_F(UserTableTest, WhoIsIdleGoesBeforeWhoActs) {
  for (int i = 0; i < 100; ++i) Act(absl::StrCat("user", i), i);
  ASSERT_GT(*table_.Spill(1), 0);  // The hand has passed all.
  for (int i = 0; i < 100; i += 2) Act(absl::StrCat("user", i), 100 + i);
  const int64_t half = table_.bytes() / 3;
  EXPECT_GT(*table_.Spill(half), 10);
  for (int i = 0; i < 100; i += 2) EXPECT_NE(table_.Find(absl::StrCat("user", i)), nullptr) << i;
}

TEST_F(UserTableTest, WhatWasNotWrittenStays) {
  Act("changed", 1).changed = true;
  Act("never-written", 2).published = false;
  EXPECT_EQ(*table_.Spill(kAll), 0);
  EXPECT_EQ(table_.size(), 2u);
}

TEST_F(UserTableTest, AnOlderCopyNeverComesBack) {
  Act("ada", 1);
  ASSERT_EQ(*table_.Spill(kAll), 1);
  Act("ada", 2);
  EXPECT_EQ(FactsOf("ada"), 2u);
  table_.Erase("ada");  // A tombstone: the copy with one fact is still on the disk.
  EXPECT_EQ(FactsOf("ada"), 0u);
  Act("ada", 3);
  ASSERT_EQ(*table_.Spill(kAll), 1);
  EXPECT_EQ(FactsOf("ada"), 1u);
}

TEST_F(UserTableTest, AFullStoreLeavesUsersInMemory) {
  for (int i = 0; i < 10; ++i) Act(absl::StrCat("user", i), i);
  store_.SetFull(true);
  EXPECT_TRUE(absl::IsResourceExhausted(table_.Spill(kAll).status()));
  EXPECT_EQ(table_.size(), 10u);
  EXPECT_EQ(table_.spilled_users(), 0u);
  store_.SetFull(false);
  EXPECT_EQ(*table_.Spill(kAll), 10);
}

TEST_F(UserTableTest, ABrokenStoreIsSaidAndNobodyIsTakenForNew) {
  Act("ada", 1);
  ASSERT_EQ(*table_.Spill(kAll), 1);
  store_.SetBroken(true);
  bool loaded = false;
  EXPECT_TRUE(absl::IsInternal(table_.Load("ada", &loaded).status()));
  EXPECT_EQ(table_.Find("ada"), nullptr);
  const auto all = [](LiveUser&) { return true; };
  EXPECT_TRUE(absl::IsInternal(table_.VisitSpilled(true, all, [](UserEntry&) {}).status()));
  store_.SetBroken(false);
  EXPECT_EQ(FactsOf("ada"), 1u);
}

TEST_F(UserTableTest, LoadAheadBringsBackWhoIsThere) {
  for (int i = 0; i < 2500; ++i) Act(absl::StrCat("user", i), i);
  ASSERT_EQ(*table_.Spill(kAll), 2500);
  std::vector<std::string> ids;
  for (int i = 0; i < 5000; i += 2) ids.push_back(absl::StrCat("user", i));
  ids.push_back("user0");  // Twice.
  const std::vector<absl::string_view> views(ids.begin(), ids.end());
  int loaded = 0;
  ASSERT_TRUE(table_.LoadAhead(views, [&loaded](UserEntry&) { ++loaded; }).ok());
  EXPECT_EQ(loaded, 1250);
  EXPECT_EQ(table_.size(), 1250u);
  EXPECT_EQ(table_.spilled_users(), 1250u);
}

TEST_F(UserTableTest, ASweepBringsBackWhoChangesAndPassesOlderCopies) {
  for (int i = 0; i < 3000; ++i) Act(absl::StrCat("user", i), i);
  ASSERT_EQ(*table_.Spill(kAll), 3000);
  for (int i = 0; i < 10; ++i) Act(absl::StrCat("user", i), 3000 + i);  // Their copies are old.
  int visited = 0;
  std::set<std::string> back;
  const auto trim = [&visited](LiveUser& user) {
    ++visited;
    return user.Trim(Offset{20}, kNowMs);
  };
  const auto loaded = [&back](UserEntry& entry) { back.insert(entry.user_id); };
  bool more = *table_.VisitSpilled(true, trim, loaded);
  int calls = 1;
  for (; more; ++calls) more = *table_.VisitSpilled(false, trim, loaded);
  EXPECT_GT(calls, 2);
  EXPECT_EQ(visited, 2990);
  EXPECT_EQ(back.size(), 10u);  // Of the offsets 10 to 19.
  EXPECT_EQ(table_.size(), 20u);
  EXPECT_EQ(FactsOf("user5"), 2u);
}

TEST_F(UserTableTest, TablesOverOneStoreKnowNothingOfEachOther) {
  Act("ada", 1);
  ASSERT_EQ(*table_.Spill(kAll), 1);
  {
    UserTable other(&store_);
    bool loaded = false;
    EXPECT_EQ((*other.Load("ada", &loaded))->user.facts().size(), 0u);
    UserTable moved = std::move(other);
  }
  EXPECT_EQ(FactsOf("ada"), 1u);
  ASSERT_EQ(*table_.Spill(kAll), 1);
  table_ = UserTable(&store_);
  EXPECT_EQ(store_.size(), 0u);
}

}  // namespace
}  // namespace tributary::speed
