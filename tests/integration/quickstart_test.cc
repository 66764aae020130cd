// deploy/quickstart.sh as a new user runs it, on a Kafka of its own: what it prints for machines is held against what it
// promises to people.
#include <filesystem>
#include <set>
#include <string>

#include <glog/logging.h>
#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/fakes/temp_dir.h"
#include "tests/integration/installation.h"

namespace tributary::integration {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

const Value& At(const Struct& object, const std::string& name) {
  const auto field = object.fields().find(name);
  CHECK(field != object.fields().end()) << "missing: " << name;
  return field->second;
}

const Struct& Object(const Struct& object, const std::string& name) { return At(object, name).struct_value(); }

std::set<std::string> ItemIds(const Struct& answer) {
  std::set<std::string> ids;
  for (const Value& item : At(answer, "items").list_value().values()) {
    ids.insert(At(item.struct_value(), "itemId").string_value());
  }
  return ids;
}

// The reasons of one item of an answer, as text.
std::string ReasonsOf(const Struct& answer, const std::string& id) {
  for (const Value& item : At(answer, "items").list_value().values()) {
    if (At(item.struct_value(), "itemId").string_value() == id) {
      std::string json;
      CHECK(google::protobuf::util::MessageToJsonString(At(item.struct_value(), "reasons"), &json).ok());
      return json;
    }
  }
  return "";
}

class QuickstartTest : public ::testing::Test {
 protected:
  int Quickstart(const std::vector<std::string>& arguments, std::string* output) {
    std::vector<std::string> command = {TRIBUTARY_QUICKSTART, absl::StrCat("--dir=", dir_.Join("quickstart"))};
    command.insert(command.end(), arguments.begin(), arguments.end());
    const std::string log = dir_.Join("quickstart.log");
    std::filesystem::remove(log);
    Process process(command, log);
    const int status = process.Wait();
    *output = process.Log();
    return status;
  }

  void TearDown() override {
    std::string output;
    EXPECT_EQ(Quickstart({"stop"}, &output), 0) << output;
    EXPECT_EQ(Quickstart({"status"}, &output), 3) << output;
    if (HasFailure()) {
      dir_.Keep();
    }
  }

  TempDir dir_{"tributary-quickstart"};
};

TEST_F(QuickstartTest, ShowsWhatItPromises) {
  std::string output;
  ASSERT_EQ(Quickstart({"--json", "--no-install", "--no-build", absl::StrCat("--bin=", TRIBUTARY_BIN_DIR), "--port=0",
                        "--kafka-port=0"},
                       &output),
            0)
      << output;
  const std::string json = ReadText(dir_.Join("quickstart/result.json"));
  Struct result;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(json, &result).ok()) << json;

  // Boosted: further up than before, because of the view, which is named by its offset.
  const Struct& viewed = Object(result, "viewed");
  EXPECT_LT(At(viewed, "rankAfter").number_value(), At(viewed, "rankBefore").number_value());
  const Struct& after_view = Object(result, "afterView");
  const std::string reasons = ReasonsOf(after_view, At(viewed, "item").string_value());
  const Struct& position = Object(Object(viewed, "event"), "position");
  EXPECT_THAT(reasons, ::testing::HasSubstr("categoryBoost"));
  EXPECT_THAT(reasons, ::testing::HasSubstr("VIEW"));
  if (position.fields().contains("offset")) {
    EXPECT_THAT(reasons, ::testing::HasSubstr(absl::StrCat("\"offset\":\"", At(position, "offset").string_value(), "\"")));
  }

  // Absent: what was bought and what is disliked, in every later answer.
  const std::string bought = At(Object(result, "bought"), "item").string_value();
  const std::string disliked = At(Object(result, "disliked"), "item").string_value();
  EXPECT_TRUE(ItemIds(Object(result, "before")).contains(bought));
  EXPECT_TRUE(ItemIds(Object(result, "before")).contains(disliked));
  EXPECT_FALSE(ItemIds(Object(result, "afterPurchase")).contains(bought));
  EXPECT_FALSE(ItemIds(Object(result, "afterDislike")).contains(bought));
  EXPECT_FALSE(ItemIds(Object(result, "afterDislike")).contains(disliked));

  // Freshness: a snapshot, and live state of the user's partition.
  for (const char* answer : {"before", "afterView", "afterPurchase", "afterDislike"}) {
    const Struct& freshness = Object(Object(result, answer), "freshness");
    EXPECT_EQ(At(freshness, "generation").string_value(), "1") << answer;
    EXPECT_GE(At(freshness, "partitions").list_value().values_size(), 1) << answer;
  }
  for (const char* event : {"viewed", "bought", "disliked"}) {
    EXPECT_GT(At(Object(Object(result, event), "event"), "visibleMs").number_value(), 0) << event;
  }
}

}  // namespace
}  // namespace tributary::integration
