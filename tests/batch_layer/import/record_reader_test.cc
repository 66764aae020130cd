#include "batch_layer/import/record_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "tests/fakes/temp_dir.h"

namespace tributary::batch {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Read {
  absl::Status status;
  std::vector<std::string> rows;          // "line: a|b"
  std::vector<std::string> raws;
  std::vector<std::string> unreadable;    // "line: reason [raw]"
};

class RecordReaderTest : public testing::Test {
 protected:
  Read Run(const std::string& text, const v1::ImportMapping& mapping, const std::vector<std::string>& columns) {
    auto source = OpenFile(dir_.Write("f", text));
    EXPECT_TRUE(source.ok());
    Read read;
    const RowVisitor visitor{[&read](const Row& row) {
                               read.rows.push_back(absl::StrCat(row.line, ": ", absl::StrJoin(row.values, "|")));
                               read.raws.push_back(row.raw());
                               return absl::OkStatus();
                             },
                             [&read](const UnreadableRow& row) {
                               read.unreadable.push_back(absl::StrCat(row.line, ": ", row.reason, " [", row.raw, "]"));
                               return absl::OkStatus();
                             }};
    read.status = mapping.format() == v1::JSON_LINES ? ReadJsonLines(**source, columns, visitor)
                                                     : ReadCsv(**source, mapping, columns, visitor);
    return read;
  }
  Read Csv(const std::string& text, const std::vector<std::string>& columns, const std::string& delimiter = "") {
    v1::ImportMapping mapping;
    mapping.set_format(v1::CSV);
    mapping.set_delimiter(delimiter);
    return Run(text, mapping, columns);
  }
  Read Json(const std::string& text, const std::vector<std::string>& columns) {
    v1::ImportMapping mapping;
    mapping.set_format(v1::JSON_LINES);
    return Run(text, mapping, columns);
  }

  const TempDir dir_;
};

TEST_F(RecordReaderTest, CsvColumnsComeInTheOrderAskedFor) {
  const Read read = Csv("a,b,c\n1,2,3\n4,,6\n", {"c", "a"});
  ASSERT_TRUE(read.status.ok()) << read.status;
  EXPECT_THAT(read.rows, ElementsAre("2: 3|1", "3: 6|4"));
}

TEST_F(RecordReaderTest, CsvQuotesDelimitersAndLineBreaksWithinQuotes) {
  const Read read = Csv("a,b\r\n\"x,\"\"y\"\"\",2\r\n\"line\nbreak\",3\r\nz,4", {"a", "b"});
  ASSERT_TRUE(read.status.ok()) << read.status;
  EXPECT_THAT(read.rows, ElementsAre("2: x,\"y\"|2", "3: line\nbreak|3", "4: z|4"));
  EXPECT_EQ(read.raws[0], "\"x,\"\"y\"\"\",2");
}

TEST_F(RecordReaderTest, CsvNumbersDatesAndWordsForNothingStayText) {
  const Read read = Csv("a,b\n007,NA\n1e3,null\n", {"a", "b"});
  EXPECT_THAT(read.rows, ElementsAre("2: 007|NA", "3: 1e3|null"));
}

TEST_F(RecordReaderTest, TabSeparatedValues) {
  const Read read = Csv("a\tb\n1,5\t2\n", {"a", "b"}, "\t");
  EXPECT_THAT(read.rows, ElementsAre("2: 1,5|2"));
}

TEST_F(RecordReaderTest, CsvRowsOfAnotherLengthAreUnreadableAndLinesStayRight) {
  const Read read = Csv("a,b\n1\n2,3\n\n4,5,6\n7,8\n", {"a", "b"});
  ASSERT_TRUE(read.status.ok()) << read.status;
  EXPECT_THAT(read.rows, ElementsAre("3: 2|3", "6: 7|8"));
  EXPECT_THAT(read.unreadable, ElementsAre("2: row has 1 values, columns=2 [1]", "5: row has 3 values, columns=2 [4,5,6]"));
}

TEST_F(RecordReaderTest, CsvLinesStayRightOverManyBlocks) {
  std::string text = "a,b\n";
  std::vector<int> bad;
  for (int line = 2; line <= 400'000; ++line) {
    if (line % 50'000 == 0) {
      absl::StrAppend(&text, "short\n");
      bad.push_back(line);
    } else {
      absl::StrAppend(&text, line, ",a text that makes blocks fill up sooner\n");
    }
  }
  const Read read = Csv(text, {"a"});
  ASSERT_TRUE(read.status.ok()) << read.status;
  ASSERT_EQ(read.rows.size(), 399'999 - bad.size());
  ASSERT_EQ(read.unreadable.size(), bad.size());
  for (const std::string& row : read.rows) {
    const std::string line = row.substr(0, row.find(':'));
    ASSERT_EQ(row, absl::StrCat(line, ": ", line));
  }
  for (size_t i = 0; i < bad.size(); ++i) {
    EXPECT_THAT(read.unreadable[i], testing::StartsWith(absl::StrCat(bad[i], ":")));
  }
}

TEST_F(RecordReaderTest, CsvWithoutHeaderTakesNamesFromTheMapping) {
  v1::ImportMapping mapping;
  mapping.set_format(v1::CSV);
  mapping.add_columns("x");
  mapping.add_columns("y");
  EXPECT_THAT(Run("1,2\n3,4\n", mapping, {"y"}).rows, ElementsAre("1: 2", "2: 4"));
}

TEST_F(RecordReaderTest, AColumnThatIsNotInTheFileIsNamed) {
  const Read read = Csv("a,b\n1,2\n", {"a", "price"});
  EXPECT_EQ(read.status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(read.status.message(), HasSubstr("price"));
}

// A source whose second block takes a while, in which a reader that failed on the first may be gone.
class SlowSource final : public ByteSource {
 public:
  absl::StatusOr<size_t> Read(absl::Span<char> out) override {
    if (block_++ > 0) {
      reading_.store(true);
      returned_.WaitForNotificationWithTimeout(absl::Milliseconds(200));
      reading_.store(false);
      return 0;
    }
    const std::string row = "1,2\n";
    for (size_t i = 0; i < out.size(); ++i) {
      out[i] = i < header_.size() ? header_[i] : row[(i - header_.size()) % row.size()];
    }
    return out.size();
  }
  void Returned() { returned_.Notify(); }
  bool reading() const { return reading_.load(); }

 private:
  const std::string header_ = "a,b\n";
  int block_ = 0;
  std::atomic<bool> reading_{false};
  absl::Notification returned_;
};

TEST_F(RecordReaderTest, NothingIsReadAheadOnceTheReaderIsDone) {
  SlowSource source;
  v1::ImportMapping mapping;
  mapping.set_format(v1::CSV);
  const std::vector<std::string> columns = {"a", "price"};
  const absl::Status status = ReadCsv(source, mapping, columns, {});
  const bool reading = source.reading();
  source.Returned();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(reading);
}

TEST_F(RecordReaderTest, EmptyFilesHaveNoRows) {
  EXPECT_TRUE(Csv("", {"a"}).status.ok());
  EXPECT_TRUE(Csv("a\n", {"a"}).status.ok());
  EXPECT_TRUE(Json("", {"a"}).status.ok());
}

TEST_F(RecordReaderTest, CsvBytesThatAreNoUtf8AreHandedOn) {
  EXPECT_THAT(Csv("a,b\n\xff,2\n", {"a"}).rows, ElementsAre("2: \xff"));
}

TEST_F(RecordReaderTest, JsonValuesBecomeText) {
  const Read read = Json(R"({"a": "x", "b": 1.5, "c": true}
{"a": 12345678901, "b": null, "other": [1]}

{"a": 0.1, "c": false})",
                         {"a", "b", "c"});
  ASSERT_TRUE(read.status.ok()) << read.status;
  EXPECT_THAT(read.rows, ElementsAre("1: x|1.5|true", "2: 12345678901||", "4: 0.1||false"));
}

TEST_F(RecordReaderTest, JsonLinesThatAreNoObjectsAreUnreadable) {
  const Read read = Json("{\"a\": 1\n[1]\n{\"a\": [1]}\n{\"a\": 9007199254740993}\n{\"a\": \"ok\"}\r\n", {"a"});
  ASSERT_TRUE(read.status.ok()) << read.status;
  EXPECT_THAT(read.rows, ElementsAre("5: ok"));
  EXPECT_EQ(read.unreadable.size(), 4u);
}

TEST_F(RecordReaderTest, AVeryLongJsonLineIsUnreadableAndTheNextOneIsRead) {
  const Read read = Json("{\"a\": \"" + std::string(3'000'000, 'x') + "\"}\n{\"a\": \"ok\"}\n", {"a"});
  EXPECT_THAT(read.rows, ElementsAre("2: ok"));
  ASSERT_EQ(read.unreadable.size(), 1u);
  EXPECT_THAT(read.unreadable[0], HasSubstr("too long"));
  EXPECT_LT(read.unreadable[0].size(), 2000u);
}

}  // namespace
}  // namespace tributary::batch
