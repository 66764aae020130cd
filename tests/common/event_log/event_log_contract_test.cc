#include "tests/common/event_log/event_log_contract.h"

#include <algorithm>
#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "glog/logging.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tributary {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

// A test that waits longer for something has failed.
constexpr absl::Duration kPatience = absl::Seconds(40);
constexpr absl::Duration kProduceTimeout = absl::Seconds(20);

template <typename T>
T Must(absl::StatusOr<T> value) {
  CHECK(value.ok()) << value.status();
  return *std::move(value);
}

struct NoMembership final : GroupMembership {};

// Everything that a reader gave so far.
struct Seen {
  std::vector<LogRecord> records;
  std::map<TopicPartition, Offset> ends;
  std::vector<Assigned> assigned;
  std::vector<Revoked> revoked;

  void Add(std::vector<LogEvent> events) {
    for (LogEvent& event : events) {
      if (auto* record = std::get_if<LogRecord>(&event)) {
        records.push_back(std::move(*record));
      } else if (auto* end = std::get_if<EndOfPartition>(&event)) {
        ends[end->source] = end->position;
      } else if (auto* given = std::get_if<Assigned>(&event)) {
        assigned.push_back(std::move(*given));
      } else {
        revoked.push_back(std::get<Revoked>(std::move(event)));
      }
    }
  }
  std::vector<std::string> Values() const {
    std::vector<std::string> values;
    for (const LogRecord& record : records) {
      values.push_back(record.value.value_or("(tombstone)"));
    }
    return values;
  }
  // Partitions of the last assignment.
  size_t share() const { return assigned.empty() ? 0 : assigned.back().partitions.size(); }
};

class EventLogContractTest : public ::testing::Test {
 protected:
  EventLogContractTest() : harness_(MakeContractLog()) {}

  EventLog& log() { return harness_->log(); }

  std::string Topic(int partitions = 1, bool compacted = false) {
    const std::string topic = harness_->Name(absl::StrCat("topic-", ++topics_));
    const absl::Status status =
        log().CreateTopics({{TopicOptions{.name = topic, .partitions = partitions, .compacted = compacted}}});
    EXPECT_TRUE(status.ok()) << status;
    return topic;
  }
  void Write(const TopicPartition& partition, const std::string& value) {
    if (producer_ == nullptr) {
      producer_ = Must(log().OpenProducer());
    }
    Must(producer_->Produce({.topic = partition.topic, .partition = partition.partition, .key = "k", .value = value},
                             kProduceTimeout));
  }
  std::unique_ptr<LogReader> Reader(const TopicPartition& partition, Offset from, Isolation isolation) {
    std::unique_ptr<LogReader> reader = Must(log().OpenReader(isolation));
    EXPECT_TRUE(reader->Start(partition, from).ok());
    return reader;
  }
  // Polls until `done`.
  template <typename AnyReader, typename Done>
  void PollUntil(AnyReader& reader, Seen& seen, Done done) {
    const absl::Time deadline = absl::Now() + kPatience;
    while (!done()) {
      ASSERT_LT(absl::Now(), deadline) << "nothing came of it; records read: " << seen.records.size();
      seen.Add(Must(reader.Poll(harness_->poll_timeout(), 100)));
    }
  }
  Seen ReadAll(const TopicPartition& partition, Isolation isolation, Offset from = Offset{0}) {
    const std::unique_ptr<LogReader> reader = Reader(partition, from, isolation);
    Seen seen;
    PollUntil(*reader, seen, [&] { return seen.ends.contains(partition); });
    return seen;
  }
  // The first error of a reader.
  template <typename AnyReader>
  absl::Status PollForError(AnyReader& reader) {
    const absl::Time deadline = absl::Now() + kPatience;
    while (absl::Now() < deadline) {
      const auto events = reader.Poll(harness_->poll_timeout(), 100);
      if (!events.ok()) {
        return events.status();
      }
    }
    return absl::DeadlineExceededError("no error came");
  }
  // Commits one more record to the empty partition; readers must see it alone, not what was aborted before.
  void ExpectOnlyWhatIsCommittedNow(TransactionalProducer& producer, const TopicPartition& partition) {
    ASSERT_TRUE(producer.Begin().ok());
    ASSERT_TRUE(producer.Produce({.topic = partition.topic, .key = "k", .value = "again"}).ok());
    const absl::Status again = producer.Commit({}, NoMembership());
    ASSERT_TRUE(again.ok()) << again;
    // The broker may answer the commit before readers see it.
    const std::unique_ptr<LogReader> reader = Reader(partition, Offset{0}, Isolation::kCommitted);
    Seen seen;
    PollUntil(*reader, seen, [&] { return !seen.records.empty(); });
    EXPECT_THAT(seen.Values(), ElementsAre("again"));
  }
  std::unique_ptr<GroupReader> Join(const std::string& group, const std::string& instance, const std::string& topic) {
    return Must(log().JoinGroup({.group = group,
                                 .instance = instance,
                                 .topic = topic,
                                 .session_timeout = harness_->session_timeout(),
                                 .unread_check_interval = absl::Milliseconds(500)}));
  }
  // Polls a member, which lets go of what is revoked, until it has so many partitions.
  void PollUntilItHas(GroupReader& member, Seen& seen, size_t partitions) {
    const absl::Time deadline = absl::Now() + kPatience;
    while (seen.share() != partitions) {
      ASSERT_LT(absl::Now(), deadline) << "it has " << seen.share() << " partitions, not " << partitions;
      seen.Add(Must(member.Poll(harness_->poll_timeout(), 100)));
      ASSERT_TRUE(member.AcknowledgeRevoked().ok());
    }
  }
  // Until `done`, polls both members, who let go of what is revoked.
  template <typename Done>
  void PollBoth(GroupReader& a, Seen& seen_a, GroupReader& b, Seen& seen_b, Done done) {
    const absl::Time deadline = absl::Now() + kPatience;
    while (!done()) {
      ASSERT_LT(absl::Now(), deadline) << "the group did not settle";
      for (auto [member, seen] : {std::pair(&a, &seen_a), std::pair(&b, &seen_b)}) {
        const size_t before = seen->revoked.size();
        seen->Add(Must(member->Poll(harness_->poll_timeout(), 100)));
        if (seen->revoked.size() > before) {
          ASSERT_TRUE(member->AcknowledgeRevoked().ok());
        }
      }
    }
  }

  const std::unique_ptr<ContractLog> harness_;

 private:
  std::unique_ptr<LogProducer> producer_;
  int topics_ = 0;
};

TEST_F(EventLogContractTest, RecordsComeInOrderAsTheyWereWritten) {
  const TopicPartition partition{Topic(), PartitionId{0}};
  const std::unique_ptr<LogProducer> producer = Must(log().OpenProducer());
  const std::vector<std::pair<std::string, std::string>> headers = {{"position", std::string("\0\x01", 2)}, {"b", ""}};
  for (int i = 0; i < 20; ++i) {
    const EventPosition written = Must(producer->Produce(
        {.topic = partition.topic, .key = "user", .value = absl::StrCat(i), .headers = headers}, kProduceTimeout));
    EXPECT_EQ(written, (EventPosition{PartitionId{0}, Offset{i}}));
  }
  const Seen seen = ReadAll(partition, Isolation::kCommitted, Offset{5});
  ASSERT_EQ(seen.records.size(), 15u);
  int64_t time = 0;
  for (int i = 0; i < 15; ++i) {
    const LogRecord& record = seen.records[i];
    EXPECT_EQ(record.source, partition);
    EXPECT_EQ(record.offset, Offset{5 + i});
    EXPECT_EQ(record.key, "user");
    EXPECT_EQ(record.value, absl::StrCat(5 + i));
    EXPECT_EQ(record.headers, headers);
    EXPECT_GE(record.append_time_unix_ms, time);
    time = record.append_time_unix_ms;
  }
  EXPECT_GT(time, 0);
  EXPECT_EQ(seen.ends.at(partition), Offset{20});
}

TEST_F(EventLogContractTest, ProduceThenTellsWhatBecameOfEachRecord) {
  const TopicPartition partition{Topic(), PartitionId{0}};
  const std::unique_ptr<LogProducer> producer = Must(log().OpenProducer());
  std::map<int, absl::StatusOr<EventPosition>> told;
  for (int i = 0; i < 5; ++i) {
    producer->ProduceThen({.topic = i == 3 ? partition.topic + "-none" : partition.topic,
                           .key = "user",
                           .value = i == 2 ? std::string(kMaxLogRecordBytes + 1, 'x') : absl::StrCat(i)},
                          [&told, i](absl::StatusOr<EventPosition> result) { told.emplace(i, std::move(result)); });
  }
  while (told.size() < 5) {
    producer->Deliver(kProduceTimeout);
  }
  EXPECT_EQ(told.at(2).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(told.at(3).status().code(), absl::StatusCode::kNotFound);
  int64_t offset = 0;
  for (const int i : {0, 1, 4}) {
    EXPECT_EQ(Must(told.at(i)), (EventPosition{PartitionId{0}, Offset{offset++}}));
  }
}

TEST_F(EventLogContractTest, AProducerThatGoesTellsWhatIsStillUnderWay) {
  const std::string topic = Topic();
  int told = 0;
  {
    const std::unique_ptr<LogProducer> producer = Must(log().OpenProducer());
    for (int i = 0; i < 100; ++i) {
      producer->ProduceThen({.topic = topic, .key = "user", .value = "x"}, [&told](const auto&) { ++told; });
    }
  }
  EXPECT_EQ(told, 100);
}

TEST_F(EventLogContractTest, TombstonesAreNotEmptyValues) {
  const TopicPartition partition{Topic(1, /*compacted=*/true), PartitionId{0}};
  const std::unique_ptr<LogProducer> producer = Must(log().OpenProducer());
  Must(producer->Produce({.topic = partition.topic, .key = "a", .value = ""}, kProduceTimeout));
  Must(producer->Produce({.topic = partition.topic, .key = "a", .headers = {{"h", "v"}}}, kProduceTimeout));
  const Seen seen = ReadAll(partition, Isolation::kCommitted);
  ASSERT_EQ(seen.records.size(), 2u);
  EXPECT_EQ(seen.records[0].value, "");
  EXPECT_FALSE(seen.records[1].value.has_value());
  EXPECT_THAT(seen.records[1].headers, ElementsAre(Pair("h", "v")));
}

TEST_F(EventLogContractTest, KeysChooseThePartitionThatPartitionOfKeyNames) {
  const std::string topic = Topic(7);
  const std::unique_ptr<LogProducer> producer = Must(log().OpenProducer());
  for (const std::string key : {"u", "user-1", "user-22", "\xc3\xa9", "\xff\xfe\x80", "abcdefgh\xf0\x9f\x98\x80"}) {
    const EventPosition written =
        Must(producer->Produce({.topic = topic, .key = key, .value = "x"}, kProduceTimeout));
    EXPECT_EQ(written.partition, PartitionOfKey(key, 7));
  }
}

TEST_F(EventLogContractTest, RecordsUpToTheLimitPassAndAboveAreRefused) {
  const TopicPartition partition{Topic(), PartitionId{0}};
  const std::unique_ptr<LogProducer> producer = Must(log().OpenProducer());
  const std::string big(kMaxLogRecordBytes - 1, 'x');
  Must(producer->Produce({.topic = partition.topic, .key = "k", .value = big}, kProduceTimeout));
  const absl::Status refused =
      producer->Produce({.topic = partition.topic, .key = "kk", .value = big}, kProduceTimeout).status();
  EXPECT_TRUE(absl::IsInvalidArgument(refused)) << refused;
  const Seen seen = ReadAll(partition, Isolation::kCommitted);
  ASSERT_EQ(seen.records.size(), 1u);
  EXPECT_EQ(seen.records[0].value, big);
}

TEST_F(EventLogContractTest, QueuedRecordsAreWrittenInOrderByFlush) {
  const TopicPartition partition{Topic(), PartitionId{0}};
  const std::unique_ptr<LogProducer> producer = Must(log().OpenProducer());
  std::vector<std::string> expected;
  for (int i = 0; i < 1000; ++i) {
    expected.push_back(absl::StrCat(i));
    ASSERT_TRUE(producer->ProduceAsync({.topic = partition.topic, .key = "k", .value = expected.back()}).ok());
  }
  ASSERT_TRUE(producer->Flush(kProduceTimeout).ok());
  EXPECT_EQ(ReadAll(partition, Isolation::kCommitted).Values(), expected);
}

TEST_F(EventLogContractTest, FlushNamesTheFirstFailureOnce) {
  const std::string topic = Topic(1, /*compacted=*/true);
  const std::unique_ptr<LogProducer> producer = Must(log().OpenProducer());
  ASSERT_TRUE(producer->ProduceAsync({.topic = topic, .value = "without a key"}).ok());
  const absl::Status status = producer->Flush(kProduceTimeout);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(topic));
  EXPECT_TRUE(producer->Flush(kProduceTimeout).ok());
}

TEST_F(EventLogContractTest, WhatIsNotThereIsNotFound) {
  const std::string missing = harness_->Name("missing");
  const std::string topic = Topic();
  EXPECT_TRUE(absl::IsNotFound(log().PartitionCount(missing).status()));
  EXPECT_TRUE(absl::IsNotFound(log().Offsets({topic, PartitionId{9}}, Isolation::kCommitted).status()));
  EXPECT_TRUE(absl::IsNotFound(log().TopicConfig(missing).status()));
  EXPECT_TRUE(absl::IsNotFound(log().JoinGroup({.group = harness_->Name("g"), .topic = missing}).status()));
  const std::unique_ptr<LogReader> reader = Must(log().OpenReader(Isolation::kCommitted));
  EXPECT_TRUE(absl::IsNotFound(reader->Start({missing, PartitionId{0}}, Offset{0})));
  EXPECT_TRUE(absl::IsNotFound(reader->Start({topic, PartitionId{1}}, Offset{0})));
  const std::unique_ptr<LogProducer> producer = Must(log().OpenProducer());
  const absl::Status status = producer->Produce({.topic = missing, .key = "k", .value = "v"}, kProduceTimeout).status();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
}

TEST_F(EventLogContractTest, TopicsAreCreatedOnceWithTheirSettings) {
  const std::string topic = harness_->Name("settings");
  const TopicOptions options{.name = topic,
                             .partitions = 3,
                             .retention = absl::Hours(5),
                             .config = {{"message.timestamp.type", "LogAppendTime"}}};
  ASSERT_TRUE(log().CreateTopics({{options}}).ok());
  ASSERT_TRUE(log().CreateTopics({{options}}).ok());
  EXPECT_EQ(Must(log().PartitionCount(topic)), 3);
  EXPECT_THAT(Must(log().TopicConfig(topic)),
              AllOf(Contains(Pair("retention.ms", "18000000")), Contains(Pair("cleanup.policy", "delete")),
                    Contains(Pair("message.timestamp.type", "LogAppendTime"))));
  TopicOptions other = options;
  other.partitions = 4;
  EXPECT_TRUE(absl::IsInvalidArgument(log().CreateTopics({{other}})));
}

TEST_F(EventLogContractTest, CommittedReadersSeeATransactionWhenItIsCommitted) {
  const TopicPartition partition{Topic(), PartitionId{0}};
  Write(partition, "before");
  const std::unique_ptr<TransactionalProducer> producer = Must(log().OpenTransactionalProducer(harness_->Name("tx")));
  ASSERT_TRUE(producer->Begin().ok());
  ASSERT_TRUE(producer->Produce({.topic = partition.topic, .key = "k", .value = "inside"}).ok());
  // Uncommitted readers see the record at once.
  const std::unique_ptr<LogReader> uncommitted = Reader(partition, Offset{0}, Isolation::kUncommitted);
  Seen early;
  PollUntil(*uncommitted, early, [&] { return early.records.size() == 2; });
  Write(partition, "behind");
  EXPECT_EQ(Must(log().Offsets(partition, Isolation::kCommitted)).end, Offset{1});
  EXPECT_EQ(Must(log().Offsets(partition, Isolation::kUncommitted)).end, Offset{3});

  const std::unique_ptr<LogReader> committed = Reader(partition, Offset{0}, Isolation::kCommitted);
  Seen seen;
  PollUntil(*committed, seen, [&] { return seen.ends.contains(partition); });
  EXPECT_THAT(seen.Values(), ElementsAre("before"));
  EXPECT_EQ(seen.ends.at(partition), Offset{1});

  ASSERT_TRUE(producer->Commit({}, NoMembership()).ok());
  PollUntil(*committed, seen, [&] { return seen.ends.at(partition) != Offset{1}; });
  EXPECT_THAT(seen.Values(), ElementsAre("before", "inside", "behind"));
  EXPECT_EQ(seen.ends.at(partition), Offset{4}) << "the marker takes an offset";
}

TEST_F(EventLogContractTest, EndOfPartitionStandsBehindMarkers) {
  const TopicPartition partition{Topic(), PartitionId{0}};
  const std::unique_ptr<TransactionalProducer> producer = Must(log().OpenTransactionalProducer(harness_->Name("tx")));
  for (const bool commit : {true, false}) {
    ASSERT_TRUE(producer->Begin().ok());
    ASSERT_TRUE(producer->Produce({.topic = partition.topic, .key = "k", .value = commit ? "good" : "bad"}).ok());
    if (commit) {
      ASSERT_TRUE(producer->Commit({}, NoMembership()).ok());
    } else {
      const std::unique_ptr<LogReader> reader = Reader(partition, Offset{0}, Isolation::kUncommitted);
      Seen seen;  // Abort takes back only what was sent.
      PollUntil(*reader, seen, [&] { return seen.records.size() == 2; });
      ASSERT_TRUE(producer->Abort().ok());
    }
  }
  // The markers come a moment after the answer.
  const std::unique_ptr<LogReader> reader = Reader(partition, Offset{0}, Isolation::kCommitted);
  Seen seen;
  PollUntil(*reader, seen, [&] { return seen.ends.contains(partition) && seen.ends[partition] == Offset{4}; });
  EXPECT_THAT(seen.Values(), ElementsAre("good"));
  EXPECT_THAT(ReadAll(partition, Isolation::kUncommitted).Values(), ElementsAre("good", "bad"));
  EXPECT_EQ(Must(log().Offsets(partition, Isolation::kCommitted)).end, Offset{4});
}

TEST_F(EventLogContractTest, ASecondProducerOfTheIdFencesTheFirst) {
  const TopicPartition partition{Topic(), PartitionId{0}};
  const std::string id = harness_->Name("tx");
  const std::unique_ptr<TransactionalProducer> zombie = Must(log().OpenTransactionalProducer(id));
  ASSERT_TRUE(zombie->Begin().ok());
  ASSERT_TRUE(zombie->Produce({.topic = partition.topic, .key = "k", .value = "zombie"}).ok());
  const std::unique_ptr<LogReader> uncommitted = Reader(partition, Offset{0}, Isolation::kUncommitted);
  Seen early;
  PollUntil(*uncommitted, early, [&] { return early.records.size() == 1; });

  const std::unique_ptr<TransactionalProducer> next = Must(log().OpenTransactionalProducer(id));
  const absl::Status status = zombie->Commit({}, NoMembership());
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_TRUE(absl::IsFailedPrecondition(zombie->Begin()));

  ASSERT_TRUE(next->Begin().ok());
  ASSERT_TRUE(next->Produce({.topic = partition.topic, .key = "k", .value = "next"}).ok());
  ASSERT_TRUE(next->Commit({}, NoMembership()).ok());
  const std::unique_ptr<LogReader> reader = Reader(partition, Offset{0}, Isolation::kCommitted);
  Seen seen;
  PollUntil(*reader, seen, [&] { return !seen.records.empty(); });
  EXPECT_THAT(seen.Values(), ElementsAre("next"));
}

TEST_F(EventLogContractTest, TransactionsAreUsedInOrder) {
  const std::unique_ptr<TransactionalProducer> producer = Must(log().OpenTransactionalProducer(harness_->Name("tx")));
  EXPECT_TRUE(absl::IsInvalidArgument(producer->Produce({.topic = "t", .key = "k"})));
  EXPECT_TRUE(absl::IsInvalidArgument(producer->Commit({}, NoMembership())));
  EXPECT_TRUE(absl::IsInvalidArgument(producer->Abort()));
  ASSERT_TRUE(producer->Begin().ok());
  EXPECT_TRUE(absl::IsInvalidArgument(producer->Begin()));
  EXPECT_TRUE(producer->Abort().ok());
}

TEST_F(EventLogContractTest, ARecordThatCannotBeSentAbortsItsTransaction) {
  const TopicPartition partition{Topic(), PartitionId{0}};
  const std::unique_ptr<TransactionalProducer> producer = Must(log().OpenTransactionalProducer(harness_->Name("tx")));
  const ProduceRecord unsendable[] = {
      {.topic = partition.topic, .key = "k", .value = std::string(kMaxLogRecordBytes, 'x')},
      {.topic = harness_->Name("missing"), .key = "k", .value = "v"}};
  for (const ProduceRecord& record : unsendable) {
    ASSERT_TRUE(producer->Begin().ok());
    ASSERT_TRUE(producer->Produce({.topic = partition.topic, .key = "k", .value = "good"}).ok());
    ASSERT_TRUE(producer->Produce(record).ok());
    const absl::Status status = producer->Commit({}, NoMembership());
    EXPECT_TRUE(absl::IsAborted(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("topic=", record.topic)));
  }
  ExpectOnlyWhatIsCommittedNow(*producer, partition);
}

TEST_F(EventLogContractTest, ARecordThatTheBrokerRefusesAbortsItsTransaction) {
  const TopicPartition partition{Topic(1, /*compacted=*/true), PartitionId{0}};
  const std::string id = harness_->Name("tx");
  {
    const std::unique_ptr<TransactionalProducer> producer = Must(log().OpenTransactionalProducer(id));
    ASSERT_TRUE(producer->Begin().ok());
    ASSERT_TRUE(producer->Produce({.topic = partition.topic, .key = "k", .value = "good"}).ok());
    ASSERT_TRUE(producer->Produce({.topic = partition.topic, .value = "without a key"}).ok());
    const absl::Status status = producer->Commit({}, NoMembership());
    EXPECT_TRUE(absl::IsAborted(status)) << status;
  }
  ExpectOnlyWhatIsCommittedNow(*Must(log().OpenTransactionalProducer(id)), partition);
}

TEST_F(EventLogContractTest, AnOffsetThatIsGoneIsOutOfRangeUntilStartedAgain) {
  const TopicPartition partition{Topic(), PartitionId{0}};
  for (int i = 0; i < 4; ++i) {
    Write(partition, absl::StrCat(i));
  }
  harness_->TruncateBefore(partition, Offset{2});
  EXPECT_EQ(Must(log().Offsets(partition, Isolation::kCommitted)).begin, Offset{2});
  for (const Offset offset : {Offset{1}, Offset{50}}) {
    const std::unique_ptr<LogReader> reader = Reader(partition, offset, Isolation::kCommitted);
    const absl::Status status = PollForError(*reader);
    EXPECT_TRUE(absl::IsOutOfRange(status)) << status;
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr(absl::StrCat("topic=", partition.topic)), HasSubstr("partition=0"),
                      HasSubstr(absl::StrCat("offset=", Value(offset)))));
    ASSERT_TRUE(reader->Start(partition, Offset{2}).ok());
    Seen seen;
    PollUntil(*reader, seen, [&] { return seen.ends.contains(partition); });
    EXPECT_THAT(seen.Values(), ElementsAre("2", "3"));
  }
}

TEST_F(EventLogContractTest, StartMovesAReaderAndStopEndsIt) {
  const std::string topic = Topic(2);
  const TopicPartition first{topic, PartitionId{0}};
  const TopicPartition second{topic, PartitionId{1}};
  Write(first, "a");
  Write(first, "b");
  Write(second, "c");
  const std::unique_ptr<LogReader> reader = Reader(first, Offset{0}, Isolation::kCommitted);
  Seen seen;
  PollUntil(*reader, seen, [&] { return seen.ends.contains(first); });
  ASSERT_TRUE(reader->Start(first, Offset{1}).ok());
  PollUntil(*reader, seen, [&] { return seen.records.size() == 3; });
  EXPECT_THAT(seen.Values(), ElementsAre("a", "b", "b"));
  ASSERT_TRUE(reader->Stop(first).ok());
  EXPECT_TRUE(absl::IsNotFound(reader->Stop(first)));
  Write(first, "unread");
  ASSERT_TRUE(reader->Start(second, Offset{0}).ok());
  PollUntil(*reader, seen, [&] { return seen.ends.contains(second); });
  EXPECT_THAT(seen.Values(), ElementsAre("a", "b", "b", "c"));
}

TEST_F(EventLogContractTest, AMemberReadsWhatItIsAssignedFromWhereItSays) {
  const std::string topic = Topic(2);
  const TopicPartition partition{topic, PartitionId{1}};
  Write(partition, "0");
  Write(partition, "1");
  const std::unique_ptr<GroupReader> member = Join(harness_->Name("group"), "a", topic);
  EXPECT_TRUE(absl::IsUnavailable(member->Membership().status()));
  EXPECT_TRUE(absl::IsInvalidArgument(member->StartAt(partition, Offset{0})));
  Seen seen;
  PollUntil(*member, seen, [&] { return !seen.assigned.empty(); });
  EXPECT_THAT(seen.assigned[0].partitions, ElementsAre(TopicPartition{topic, PartitionId{0}}, partition));
  EXPECT_GT(seen.assigned[0].group_generation, 0);
  EXPECT_THAT(Must(member->Poll(harness_->poll_timeout(), 10)), IsEmpty()) << "paused until StartAt";
  ASSERT_TRUE(member->StartAt(partition, Offset{1}).ok());
  PollUntil(*member, seen, [&] { return seen.ends.contains(partition); });
  // Starting another one neither loses nor repeats anything of the first.
  ASSERT_TRUE(member->StartAt({topic, PartitionId{0}}, Offset{0}).ok());
  Write(partition, "2");
  PollUntil(*member, seen, [&] { return seen.ends[partition] == Offset{3}; });
  PollUntil(*member, seen, [&] { return seen.ends.contains({topic, PartitionId{0}}); });
  EXPECT_THAT(seen.Values(), ElementsAre("1", "2"));
  ASSERT_TRUE(member->StartAt(partition, Offset{0}).ok());
  PollUntil(*member, seen, [&] { return seen.records.size() == 5; });
  EXPECT_THAT(seen.Values(), ElementsAre("1", "2", "0", "1", "2"));
  ASSERT_TRUE(member->StartAt(partition, Offset{77}).ok());
  EXPECT_TRUE(absl::IsOutOfRange(PollForError(*member)));
}

TEST_F(EventLogContractTest, ASecondMemberTakesItsShareWhenTheFirstLetsGo) {
  const std::string topic = Topic(4);
  const std::string group = harness_->Name("group");
  const std::unique_ptr<GroupReader> a = Join(group, "a", topic);
  Seen seen_a;
  PollUntil(*a, seen_a, [&] { return !seen_a.assigned.empty(); });
  const std::vector<TopicPartition> all = seen_a.assigned[0].partitions;
  EXPECT_EQ(all.size(), 4u);
  const std::unique_ptr<GroupMembership> first = Must(a->Membership());

  const std::unique_ptr<GroupReader> b = Join(group, "b", topic);
  Seen seen_b;
  PollUntil(*a, seen_a, [&] { return !seen_a.revoked.empty(); });
  EXPECT_EQ(seen_a.revoked[0].partitions, all);
  EXPECT_FALSE(seen_a.revoked[0].lost);
  // Until it lets go, its work can be committed.
  const std::unique_ptr<TransactionalProducer> producer = Must(log().OpenTransactionalProducer(harness_->Name("tx")));
  const std::vector<std::pair<TopicPartition, Offset>> consumed = {{all[0], Offset{1}}};
  ASSERT_TRUE(producer->Begin().ok());
  const absl::Status in_time = producer->Commit(consumed, *Must(a->Membership()));
  EXPECT_TRUE(in_time.ok()) << in_time;

  ASSERT_TRUE(a->AcknowledgeRevoked().ok());
  PollBoth(*a, seen_a, *b, seen_b, [&] { return seen_a.assigned.size() == 2 && seen_b.assigned.size() == 1; });
  EXPECT_THAT(seen_a.assigned[1].partitions, ElementsAre(all[0], all[1]));
  EXPECT_THAT(seen_b.assigned[0].partitions, ElementsAre(all[2], all[3]));
  EXPECT_EQ(seen_a.assigned[1].group_generation, seen_b.assigned[0].group_generation);
  EXPECT_GT(seen_a.assigned[1].group_generation, seen_a.assigned[0].group_generation);
  EXPECT_FALSE(seen_a.assigned[0].unbroken);
  EXPECT_TRUE(seen_a.assigned[1].unbroken);
  EXPECT_FALSE(seen_b.assigned[0].unbroken);

  // The old generation commits nothing any more.
  ASSERT_TRUE(producer->Begin().ok());
  const absl::Status late = producer->Commit(consumed, *first);
  EXPECT_TRUE(absl::IsAborted(late)) << late;
  ASSERT_TRUE(producer->Begin().ok());
  const absl::Status now = producer->Commit(consumed, *Must(a->Membership()));
  EXPECT_TRUE(now.ok()) << now;
}

TEST_F(EventLogContractTest, AMemberThatLeavesHandsOverItsPartitions) {
  const std::string topic = Topic(2);
  const std::string group = harness_->Name("group");
  const std::unique_ptr<GroupReader> a = Join(group, "a", topic);
  const std::unique_ptr<GroupReader> b = Join(group, "b", topic);
  Seen seen_a;
  Seen seen_b;
  PollBoth(*a, seen_a, *b, seen_b, [&] { return seen_a.share() == 1 && seen_b.share() == 1; });
  ASSERT_TRUE(a->Leave().ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(a->Poll(absl::ZeroDuration(), 1).status()));
  PollUntilItHas(*b, seen_b, 2);
}

TEST_F(EventLogContractTest, AStaticMemberThatRestartsKeepsItsPartitions) {
  const std::string topic = Topic(2);
  const std::string group = harness_->Name("group");
  std::unique_ptr<GroupReader> a = Join(group, "a", topic);
  const std::unique_ptr<GroupReader> b = Join(group, "b", topic);
  Seen seen_a;
  Seen seen_b;
  PollBoth(*a, seen_a, *b, seen_b, [&] { return seen_a.share() == 1 && seen_b.share() == 1; });
  const size_t rebalances = seen_b.revoked.size();

  a.reset();  // As a crash: it does not leave.
  a = Join(group, "a", topic);
  Seen seen_again;
  PollBoth(*a, seen_again, *b, seen_b, [&] { return !seen_again.assigned.empty(); });
  EXPECT_EQ(seen_again.assigned[0].partitions, seen_a.assigned.back().partitions);
  EXPECT_EQ(seen_again.assigned[0].group_generation, seen_a.assigned.back().group_generation);
  EXPECT_FALSE(seen_again.assigned[0].unbroken);
  EXPECT_EQ(seen_b.revoked.size(), rebalances) << "the other member noticed";
}

TEST_F(EventLogContractTest, APartitionThatIsAddedWhileItsLeaderRestartsIsReadToo) {
  const std::string topic = Topic(1);
  const std::string group = harness_->Name("group");
  std::unique_ptr<GroupReader> leader = Join(group, "a", topic);
  Seen seen;
  PollUntil(*leader, seen, [&] { return !seen.assigned.empty(); });
  leader.reset();
  harness_->AddPartitions(topic, 2);
  leader = Join(group, "a", topic);
  Seen seen_again;
  PollUntilItHas(*leader, seen_again, 2);
  EXPECT_TRUE(seen_again.revoked.empty() || seen_again.assigned.back().unbroken);
}

TEST_F(EventLogContractTest, AReaderOfTheSameInstanceFencesTheFirst) {
  const std::string topic = Topic(1);
  const std::string group = harness_->Name("group");
  const std::unique_ptr<GroupReader> a = Join(group, "a", topic);
  Seen seen;
  PollUntil(*a, seen, [&] { return !seen.assigned.empty(); });
  const std::unique_ptr<GroupMembership> old = Must(a->Membership());
  const std::unique_ptr<GroupReader> again = Join(group, "a", topic);
  Seen seen_again;
  PollUntil(*again, seen_again, [&] { return !seen_again.assigned.empty(); });
  const absl::Status status = PollForError(*a);
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;

  const std::unique_ptr<TransactionalProducer> producer = Must(log().OpenTransactionalProducer(harness_->Name("tx")));
  const std::vector<std::pair<TopicPartition, Offset>> consumed = {{{topic, PartitionId{0}}, Offset{1}}};
  ASSERT_TRUE(producer->Begin().ok());
  const absl::Status commit = producer->Commit(consumed, *old);
  EXPECT_TRUE(absl::IsAborted(commit)) << commit;
}

TEST_F(EventLogContractTest, AMemberThatIsTakenForDeadLosesItsPartitionsAndCommitsNothing) {
  const std::string topic = Topic(2);
  const std::string group = harness_->Name("group");
  std::unique_ptr<GroupReader> a = Join(group, "a", topic);
  Seen seen_a;
  PollUntil(*a, seen_a, [&] { return !seen_a.assigned.empty(); });
  const std::unique_ptr<GroupMembership> lost = Must(a->Membership());
  const std::unique_ptr<GroupReader> b = Join(group, "b", topic);
  a.reset();
  harness_->ExpireMember(group, "a");
  Seen seen_b;
  PollUntil(*b, seen_b, [&] { return !seen_b.assigned.empty() && seen_b.assigned.back().partitions.size() == 2; });

  const std::unique_ptr<TransactionalProducer> producer = Must(log().OpenTransactionalProducer(harness_->Name("tx")));
  const std::vector<std::pair<TopicPartition, Offset>> consumed = {{{topic, PartitionId{0}}, Offset{1}}};
  const std::string out = Topic();
  ASSERT_TRUE(producer->Begin().ok());
  ASSERT_TRUE(producer->Produce({.topic = out, .key = "k", .value = "void"}).ok());
  const absl::Status status = producer->Commit(consumed, *lost);
  EXPECT_TRUE(absl::IsAborted(status)) << status;
  EXPECT_THAT(ReadAll({out, PartitionId{0}}, Isolation::kCommitted).records, IsEmpty());
}

}  // namespace
}  // namespace tributary
