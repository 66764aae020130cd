#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/serving_layer/cli/command_line_fixture.h"
#include "tributary/v1/dead_letter.pb.h"

namespace tributary::serving {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class DeadLettersTest : public CommandLineTest {
 protected:
  void SetUp() override { ASSERT_EQ(Run({"topics", "create"}), kExitOk); }
  // Puts a refused record there; where it lies, as `list` prints it.
  std::string Refuse(const std::string& value, v1::RejectCause cause = v1::MALFORMED) {
    v1::DeadLetter letter;
    letter.set_source_topic("events");
    letter.mutable_source()->set_offset(7);
    letter.set_cause(cause);
    letter.set_reason("why");
    letter.set_original_key("u");
    letter.set_original_value(value);
    const auto at = log.OpenProducer().value()->Produce(
        {.topic = "dead-letters", .key = "u", .value = letter.SerializeAsString()}, absl::Seconds(1));
    return absl::StrCat(Value(at.value().partition), ":", Value(at.value().offset));
  }
  std::vector<v1::Event> Sent() {
    std::vector<v1::Event> events;
    const int partitions = log.PartitionCount("events").value();
    for (int partition = 0; partition < partitions; ++partition) {
      for (const LogRecord& record : log.Records({"events", PartitionId{partition}}, Isolation::kCommitted)) {
        EXPECT_EQ(PartitionOfKey(record.key, partitions), PartitionId{partition});
        EXPECT_TRUE(events.emplace_back().ParseFromString(*record.value));
        EXPECT_EQ(events.back().user_id(), record.key);
      }
    }
    return events;
  }
  std::string Json(absl::Time time) {
    return absl::StrCat(R"({"userId":"u","type":"VIEW","itemId":"a","eventTime":")",
                        absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone()), "\"}");
  }
};

TEST_F(DeadLettersTest, TheyAreListedLatestFirst) {
  EXPECT_EQ(Run({"dead-letters", "list"}), kExitOk);
  EXPECT_EQ(out.str(), "no dead letters\n");
  const auto producer = log.OpenProducer().value();
  for (int i = 0; i < 5; ++i) {
    v1::DeadLetter letter;
    letter.set_reason(absl::StrCat("reason ", i));
    letter.set_record_time_unix_ms(1000 * i);
    ASSERT_TRUE(producer->Produce({.topic = "dead-letters", .key = "u", .value = letter.SerializeAsString()},
                                  absl::Seconds(1)).ok());
  }
  EXPECT_EQ(Run({"dead-letters", "list", "--limit", "2"}), kExitOk);
  EXPECT_THAT(out.str(), AllOf(HasSubstr("reason 4"), HasSubstr("reason 3"), Not(HasSubstr("reason 2"))));
}

TEST_F(DeadLettersTest, OneIsShownAsTheEventThatItCanBeReadAs) {
  const std::string at = Refuse(R"({"userId":"u","type":"VIEW"})", v1::MISSING_FIELD);
  EXPECT_EQ(Run({"dead-letters", "show", at}), kExitOk);
  EXPECT_THAT(out.str(), AllOf(HasSubstr("source  events 0:7\ncause   MISSING_FIELD\nreason  why\nkey     u\n"),
                               HasSubstr("event   {\"userId\":\"u\",\"type\":\"VIEW\"}\n")));
}

TEST_F(DeadLettersTest, BytesThatAreNoEventAreShownWithEscapesOrAsTheyAre) {
  const std::string at = Refuse("\x1b[2J\xff");
  EXPECT_EQ(Run({"dead-letters", "show", at}), kExitOk);
  EXPECT_THAT(out.str(), HasSubstr("bytes   \\x1b[2J\\xff\n"));
  EXPECT_EQ(Run({"dead-letters", "show", at, "--original"}), kExitOk);
  EXPECT_EQ(out.str(), "\x1b[2J\xff");
}

TEST_F(DeadLettersTest, AnEventWithATimeThatHasNoJsonIsShownByItsBytes) {
  v1::Event event;
  event.set_user_id("u");
  event.mutable_event_time()->set_seconds(std::numeric_limits<int64_t>::max());
  const std::string at = Refuse(event.SerializeAsString(), v1::TIME_IN_FUTURE);
  EXPECT_EQ(Run({"dead-letters", "show", at}), kExitOk);
  EXPECT_THAT(out.str(), HasSubstr("bytes   "));
}

TEST_F(DeadLettersTest, APositionWithoutADeadLetterIsRefusedByName) {
  Refuse("x");
  for (const std::string at : {"0:99", "99:0", "0", "0:x", "-1:0"}) {
    EXPECT_EQ(Run({"dead-letters", "redrive", "--", at}), kExitRefused) << at;
    EXPECT_THAT(err.str(), AnyOf(HasSubstr(absl::StrCat("at=", at)), HasSubstr("field=at"))) << at;
  }
}

TEST_F(DeadLettersTest, WhatWouldNotBeRefusedNowIsSentAgainAndCountsOnceHoweverOften) {
  const std::string at = Refuse(Json(clock.Now()), v1::TIME_IN_FUTURE);
  EXPECT_EQ(Run({"dead-letters", "redrive", at}), kExitOk);
  EXPECT_THAT(out.str(), StartsWith(absl::StrCat(at, " sent again: events ")));
  EXPECT_EQ(Run({"dead-letters", "redrive", at}), kExitOk);
  const std::vector<v1::Event> sent = Sent();
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[0].item_id(), "a");
  EXPECT_EQ(sent[0].event_id(), absl::StrCat("redrive-", at));
  EXPECT_EQ(sent[1].event_id(), sent[0].event_id());
}

TEST_F(DeadLettersTest, WhenOneWouldBeRefusedAgainNoneIsSent) {
  const std::string good = Refuse(Json(clock.Now()));
  const std::string future = Refuse(Json(clock.Now() + absl::Hours(48)));
  const std::string garbage = Refuse("garbage");
  EXPECT_EQ(Run({"dead-letters", "redrive", good, future}), kExitRefused);
  EXPECT_THAT(err.str(), AllOf(HasSubstr(absl::StrCat("at=", future)), HasSubstr("field=event_time")));
  EXPECT_EQ(Run({"dead-letters", "redrive", good, garbage}), kExitRefused);
  EXPECT_THAT(err.str(), AllOf(HasSubstr(absl::StrCat("at=", garbage)), HasSubstr("--event-json")));
  EXPECT_THAT(Sent(), IsEmpty());
}

TEST_F(DeadLettersTest, AMendedEventIsSentInItsPlace) {
  const std::string at = Refuse("garbage");
  EXPECT_EQ(Run({"dead-letters", "redrive", at, "--event-json", Json(clock.Now())}), kExitOk);
  const std::string path = dir.Write("mended.json", Json(clock.Now()));
  EXPECT_EQ(Run({"dead-letters", "redrive", at, "--event-file", path}), kExitOk);
  EXPECT_EQ(Sent().size(), 2u);
  EXPECT_EQ(Run({"dead-letters", "redrive", at, at, "--event-json", "{}"}), kExitRefused);
  EXPECT_EQ(Run({"dead-letters", "redrive", at, "--event-json", R"({"userid":"u"})"}), kExitRefused);
  EXPECT_THAT(err.str(), HasSubstr("userid"));
}

}  // namespace
}  // namespace tributary::serving
