#include "batch_layer/pipeline/run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/config/config.h"
#include "common/ials/fold_in.h"
#include "common/snapshot/gate_verdict.h"
#include "common/snapshot/snapshot.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_event_log.h"
#include "tests/fakes/temp_dir.h"

namespace tributary::batch {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::Contains;
using testing::ElementsAre;
using testing::Ge;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

class RunTest : public testing::Test {
 protected:
  RunTest() : config_(DefaultConfig()) {
    config_.mutable_storage()->set_snapshots_dir(dir_.Join("snapshots"));
    config_.mutable_kafka()->set_segment_size(4);
    config_.mutable_batch()->set_threads(1);
    config_.mutable_batch()->mutable_ials()->set_dimensions(8);
    config_.mutable_batch()->mutable_ials()->set_epochs(2);
    config_.mutable_batch()->set_list_length(5);
    for (const char* topic : {"events", "items", "users", "rules", "snapshots"}) {
      EXPECT_TRUE(log_.CreateTopics({{.name = topic, .partitions = std::string(topic) == "events" ? 2 : 1}}).ok());
    }
    options_.sleep = [](absl::Duration) {};
    options_.poll_timeout = absl::ZeroDuration();
    options_.max_idle_polls = 3;
    OpenHistory("history");
  }
  void OpenHistory(const std::string& name) {
    history_.reset();
    auto opened = History::Open({.dir = dir_.Join(name), .events_topic = "events", .segment_size = 4});
    ASSERT_TRUE(opened.ok()) << opened.status();
    history_ = *std::move(opened);
  }
  void Produce(const std::string& topic, const std::string& key, std::optional<std::string> value, int partition = 0) {
    auto producer = log_.OpenProducer();
    ASSERT_TRUE(producer.ok());
    ProduceRecord record;
    record.topic = topic;
    record.partition = PartitionId{partition};
    record.key = key;
    record.value = std::move(value);
    ASSERT_TRUE((*producer)->Produce(std::move(record), absl::Seconds(1)).ok());
  }
  void Did(const std::string& user, v1::EventType type, const std::string& item, int partition = 0, bool anonymous = false) {
    v1::Event event;
    event.set_user_id(user);
    event.set_type(type);
    event.set_item_id(item);
    event.set_anonymous(anonymous);
    event.set_value(2.5);
    event.mutable_event_time()->set_seconds(absl::ToUnixSeconds(clock_.Now()));
    Produce("events", user, event.SerializeAsString(), partition);
    clock_.Advance(absl::Seconds(1));
  }
  void PutItem(const std::string& id, const std::string& category) {
    v1::Item item;
    item.set_item_id(id);
    item.add_categories(category);
    Produce("items", id, item.SerializeAsString());
  }
  void SomeShopping() {
    for (int user = 0; user < 20; ++user) {
      for (int item = 0; item < 4; ++item) {
        Did(absl::StrCat("u", user), v1::PURCHASE, absl::StrCat("i", (user % 2) * 10 + (user + item) % 6), user % 2);
      }
    }
  }

  absl::StatusOr<RunReport> Run(bool kafka = true) {
    return RunBatch(config_, options_, *history_, kafka ? &log_ : nullptr, clock_);
  }
  std::unique_ptr<SnapshotReader> Open(const RunReport& report) {
    auto reader = SnapshotReader::Open(dir_.Join("snapshots"), Generation{report.manifest.generation()},
                                       SnapshotReader::Verify::kDigest, 1 << 20);
    EXPECT_TRUE(reader.ok()) << reader.status();
    return *std::move(reader);
  }
  static std::vector<std::string> Names(const SnapshotReader& reader, const v1::ScoredItems& list) {
    std::vector<std::string> names;
    for (const uint32_t item : list.items()) {
      names.push_back(reader.ReadItem(ItemNumber{item})->item_id());
    }
    return names;
  }

  FakeClock clock_;
  FakeEventLog log_{clock_};
  const TempDir dir_;
  v1::Config config_;
  RunOptions options_;
  std::unique_ptr<History> history_;
};

TEST_F(RunTest, AnEmptyHistoryGivesAValidSnapshotThatIsActivated) {
  const auto report = Run();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->activated);
  EXPECT_EQ(report->manifest.generation(), 1);
  EXPECT_EQ(report->manifest.events(), 0);
  EXPECT_EQ(Open(*report)->item_count(), 0u);
  EXPECT_EQ(*SnapshotStore(dir_.Join("snapshots")).Current(), Generation{1});
}

TEST_F(RunTest, OneEventGivesAValidSnapshot) {
  Did("u", v1::PURCHASE, "i");
  const auto report = Run();
  ASSERT_TRUE(report.ok()) << report.status();
  const auto reader = Open(*report);
  v1::SnapshotUser user;
  ASSERT_TRUE(reader->FindUser("u", &user).ok());
  EXPECT_EQ(user.profile().items_size(), 1);
  EXPECT_THAT(Names(*reader, user.list()), ElementsAre("i"));
  EXPECT_EQ(reader->Watermark(PartitionId{0}), Offset{1});
  EXPECT_EQ(reader->Watermark(PartitionId{1}), Offset{0});
}

TEST_F(RunTest, ManyEventsOfOneUser) {
  for (int i = 0; i < 2000; ++i) {
    Did("u", v1::VIEW, absl::StrCat("i", i));
  }
  const auto report = Run();
  ASSERT_TRUE(report.ok()) << report.status();
  const auto reader = Open(*report);
  v1::SnapshotUser user;
  ASSERT_TRUE(reader->FindUser("u", &user).ok());
  EXPECT_EQ(user.profile().items_size(), 2000);
  EXPECT_EQ(user.list().items_size(), 5);
  EXPECT_EQ(report->manifest.users(), 1);
}

TEST_F(RunTest, AUserWithAMillionEventsIsOneUserAmongOthersInMemoryAndThroughTheDisk) {
  SomeShopping();
  auto import = history_->BeginImport(1, "file");
  ASSERT_TRUE(import.ok());
  HistoryEvent row;
  row.event.type = v1::VIEW;
  row.event.user_id = "robot";
  for (int64_t line = 0; line < 1'000'000; ++line) {
    row.position = {kImportPartition, Offset{line}};
    row.event.event_time_unix_ms = 1'600'000'000'000 + line * 1000;
    row.event.item_id = absl::StrCat("i", line % 300);
    ASSERT_TRUE((*import)->Append({&row, 1}).ok());
  }
  ASSERT_TRUE((*import)->Commit(0, {}).ok());
  import->reset();
  std::string digest;
  for (const size_t events : {0, 50'000}) {
    options_.events_in_memory = events;
    const auto report = Run();
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(report->manifest.users(), 21);
    EXPECT_EQ(report->manifest.sessions(), 21) << "a view a second is one session";
    v1::SnapshotUser user;
    ASSERT_TRUE(Open(*report)->FindUser("robot", &user).ok());
    EXPECT_EQ(user.profile().items_size(), 300);
    EXPECT_EQ(user.list().items_size(), 5);
    ASSERT_TRUE(Open(*report)->FindUser("u1", &user).ok());
    EXPECT_EQ(user.list().items_size(), 5);
    EXPECT_TRUE(digest.empty() || report->manifest.content_digest() == digest);
    digest = report->manifest.content_digest();
  }
}

TEST_F(RunTest, AnItemWithoutCategoryIsInListsAndPopularOverallAndInNoCategory) {
  PutItem("with", "bags");
  Produce("items", "without", std::string("{\"item_id\": \"without\", \"title\": \"No category\"}"));
  for (const char* item : {"with", "without", "in no catalogue"}) {
    for (const char* user : {"u1", "u2", "u3"}) {
      Did(user, v1::PURCHASE, item);
    }
  }
  const auto report = Run();
  ASSERT_TRUE(report.ok()) << report.status();
  const auto reader = Open(*report);
  v1::ScoredItems popular;
  ASSERT_TRUE(reader->FindPopular(kPopularOverall, &popular).ok());
  EXPECT_THAT(Names(*reader, popular), testing::UnorderedElementsAre("with", "without", "in no catalogue"));
  v1::SnapshotUser user;
  ASSERT_TRUE(reader->FindUser("u1", &user).ok());
  EXPECT_THAT(Names(*reader, user.list()), testing::IsSupersetOf({"without", "in no catalogue"}));
  int scopes = 0;
  ASSERT_TRUE(reader->ForEachPopular([&scopes](absl::string_view, const v1::ScoredItems&) {
                      ++scopes;
                      return absl::OkStatus();
                    }).ok());
  EXPECT_EQ(scopes, 2) << "all, and bags";
}

TEST_F(RunTest, TheManifestSaysWhatTheSnapshotIs) {
  SomeShopping();
  const auto report = Run();
  ASSERT_TRUE(report.ok()) << report.status();
  const v1::SnapshotManifest& manifest = report->manifest;
  ASSERT_EQ(manifest.watermarks_size(), 2);
  EXPECT_EQ(manifest.watermarks(0).watermark(), 40);
  EXPECT_GT(manifest.watermarks(0).record_time_unix_ms(), 0);
  EXPECT_EQ(manifest.segment_size(), 4);
  EXPECT_EQ(manifest.events_topic(), "events");
  EXPECT_EQ(manifest.events(), 80);
  EXPECT_EQ(manifest.users(), 20);
  EXPECT_EQ(manifest.items(), 12);
  EXPECT_EQ(manifest.sessions(), 20);
  EXPECT_EQ(manifest.last_event_time().seconds() - manifest.first_event_time().seconds(), 79);
  EXPECT_FALSE(manifest.config_digest().empty());
  EXPECT_FALSE(manifest.code_version().empty());
  EXPECT_FALSE(manifest.instruction_set().empty());
  EXPECT_FALSE(manifest.content_digest().empty());
}

TEST_F(RunTest, CountsAreTotalsBelowWAndTheCutCountsThoseOfTheLastPiece) {
  for (int i = 0; i < 6; ++i) {      // Segments of 4: offsets 4 and 5 are the piece.
    Did("u", v1::PURCHASE, "i");
  }
  const auto report = Run();
  ASSERT_TRUE(report.ok()) << report.status();
  const auto reader = Open(*report);
  const CountKey key{v1::BY_ITEM, "i", v1::PURCHASE};
  v1::CountTotal total;
  ASSERT_TRUE(reader->FindCount(key, &total).ok());
  EXPECT_EQ(total.events(), 6);
  EXPECT_EQ(total.value_micros(), 15'000'000);
  v1::LiveCounts message;
  ASSERT_TRUE(reader->FindCutCounts(PartitionId{0}, &message).ok());
  EXPECT_EQ(message.segment_start(), 4);
  const auto cut = SegmentCounts::FromProto(message);
  ASSERT_TRUE(cut.ok()) << cut.status();
  EXPECT_EQ(cut->Total(key).events, 2);
  EXPECT_TRUE(absl::IsNotFound(reader->FindCutCounts(PartitionId{1}, &message)));
}

TEST_F(RunTest, AnonymousAndUntrackedUsersCountButAreNotLearnedFrom) {
  SomeShopping();
  Did("nobody", v1::PURCHASE, "i0", 0, /*anonymous=*/true);
  Did("private", v1::PURCHASE, "secret");
  v1::UserRecord record;
  record.set_user_id("private");
  record.set_consent(v1::CONSENT_NO_TRACKING);
  Produce("users", "private", record.SerializeAsString());
  const auto report = Run();
  ASSERT_TRUE(report.ok()) << report.status();
  const auto reader = Open(*report);
  for (const char* id : {"nobody", "private"}) {
    v1::SnapshotUser user;
    ASSERT_TRUE(reader->FindUser(id, &user).ok()) << id;
    EXPECT_EQ(user.list().items_size(), 0) << id;
    EXPECT_EQ(user.profile().items_size(), 1) << id;     // What they bought stays suppressed after the swap.
  }
  v1::CountTotal total;
  ASSERT_TRUE(reader->FindCount({v1::BY_ITEM, "secret", v1::PURCHASE}, &total).ok());
  EXPECT_EQ(total.events(), 1);
  v1::ScoredItems popular;
  ASSERT_TRUE(reader->FindPopular(kPopularOverall, &popular).ok());
  EXPECT_THAT(Names(*reader, popular), Not(Contains("secret")));
}

TEST_F(RunTest, EachSegmentOfUsersHasItsPopularItemsWithoutWhoRefused) {
  const auto put = [&](const std::string& id, const std::string& segment, v1::Consent consent) {
    v1::UserRecord record;
    record.set_user_id(id);
    record.set_segment(segment);
    record.set_consent(consent);
    Produce("users", id, record.SerializeAsString());
  };
  put("ann", "gold", v1::CONSENT_UNSPECIFIED);
  put("bob", "gold", v1::CONSENT_UNSPECIFIED);
  put("eve", "gold", v1::CONSENT_NO_TRACKING);
  put("max", "new", v1::CONSENT_UNSPECIFIED);
  Did("ann", v1::PURCHASE, "i1");
  Did("bob", v1::PURCHASE, "i1");
  Did("bob", v1::VIEW, "i2");
  Did("eve", v1::PURCHASE, "i3");
  Did("max", v1::PURCHASE, "i2");
  Did("nobody in particular", v1::PURCHASE, "i4");
  const auto report = Run();
  ASSERT_TRUE(report.ok()) << report.status();
  const auto reader = Open(*report);
  v1::ScoredItems popular;
  ASSERT_TRUE(reader->FindPopular(PopularSegmentScope("gold"), &popular).ok());
  EXPECT_THAT(Names(*reader, popular), ElementsAre("i1", "i2"));
  ASSERT_TRUE(reader->FindPopular(PopularSegmentScope("new"), &popular).ok());
  EXPECT_THAT(Names(*reader, popular), ElementsAre("i2"));
  EXPECT_TRUE(absl::IsNotFound(reader->FindPopular(PopularSegmentScope(""), &popular)));
}

TEST_F(RunTest, AnItemThatNobodyTouchedStandsInTheListsOfThoseWhoLikeItsKind) {
  config_.mutable_batch()->set_list_length(20);
  SomeShopping();   // Even users buy i0 .. i5, odd ones i10 .. i15.
  for (int item = 0; item < 6; ++item) {
    PutItem(absl::StrCat("i", item), "lamps");
    PutItem(absl::StrCat("i1", item), "chairs");
  }
  PutItem("new lamp", "lamps");
  PutItem("new something", "of its own");
  const auto place = [&](const SnapshotReader& reader, const std::string& user, const std::string& item) {
    v1::SnapshotUser entry;
    EXPECT_TRUE(reader.FindUser(user, &entry).ok());
    const std::vector<std::string> names = Names(reader, entry.list());
    const auto found = std::find(names.begin(), names.end(), item);
    return found == names.end() ? 1000 : found - names.begin();
  };
  const auto report = Run();
  ASSERT_TRUE(report.ok()) << report.status();
  auto reader = Open(*report);
  EXPECT_LT(place(*reader, "u0", "new lamp"), place(*reader, "u0", "i10"));
  EXPECT_GT(place(*reader, "u1", "new lamp"), place(*reader, "u1", "i15"));
  EXPECT_GE(place(*reader, "u0", "new something"), 12) << "behind all that anybody touched";
  const auto neighbours = [&](const std::string& item) {
    std::vector<std::string> names;
    for (uint32_t i = 0; i < reader->item_count(); ++i) {
      for (const ScoredItem& scored : reader->Neighbours(ItemNumber{i})) {
        if (reader->ReadItem(ItemNumber{i})->item_id() == item) {
          names.push_back(reader->ReadItem(scored.item)->item_id());
        }
      }
    }
    return names;
  };
  EXPECT_THAT(neighbours("new lamp"), AllOf(SizeIs(Ge(6)), Not(Contains("new lamp"))));
  EXPECT_THAT(neighbours("new lamp").front(), AnyOf("i0", "i1", "i2", "i3", "i4", "i5"));
  EXPECT_THAT(neighbours("new something"), IsEmpty());

  config_.mutable_batch()->set_new_item_weight(0);
  const auto without = Run();
  ASSERT_TRUE(without.ok()) << without.status();
  reader = Open(*without);
  EXPECT_GE(place(*reader, "u0", "new lamp"), 12);
}

// Whether a file under `dir` has the text in it.
bool AnyFileHas(const std::string& dir, const std::string& text) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir)) {
    if (entry.is_regular_file() && absl::StrContains(ReadText(entry.path()), text)) {
      return true;
    }
  }
  return false;
}

TEST_F(RunTest, AForgottenUserIsInNoFileAnyMoreAndTotalsStay) {
  config_.mutable_batch()->mutable_history()->set_compact_files(1000);
  SomeShopping();
  const std::string alice = "alice-in-wonderland";
  for (int i = 0; i < 5; ++i) {
    Did(alice, v1::PURCHASE, absl::StrCat("i", i));
  }
  Did(alice, v1::PURCHASE, "rabbit");
  const auto before = Run();
  ASSERT_TRUE(before.ok()) << before.status();
  EXPECT_TRUE(AnyFileHas(dir_.Join("snapshots/1"), alice)) << "what is looked for below can be seen";
  EXPECT_TRUE(AnyFileHas(dir_.Join("history"), alice));
  Did(alice, v1::FORGET, "");
  const auto forgotten = Run();
  ASSERT_TRUE(forgotten.ok()) << forgotten.status();
  EXPECT_FALSE(AnyFileHas(dir_.Join("snapshots/2"), alice)) << "at once";
  EXPECT_EQ(forgotten->manifest.users(), before->manifest.users() - 1);
  EXPECT_EQ(forgotten->manifest.events(), before->manifest.events() + 1);
  EXPECT_EQ(forgotten->manifest.items(), before->manifest.items());
  EXPECT_EQ(forgotten->manifest.sessions(), before->manifest.sessions() - 1);
  EXPECT_TRUE(AnyFileHas(dir_.Join("history"), alice)) << "her ids still refuse repeats";
  // The same log a month later: nothing but files changes.
  clock_.Advance(absl::Hours(24 * 30));
  const auto later = Run();
  ASSERT_TRUE(later.ok()) << later.status();
  EXPECT_FALSE(AnyFileHas(dir_.Join("history"), alice));
  EXPECT_EQ(later->manifest.content_digest(), forgotten->manifest.content_digest());
  EXPECT_EQ(later->manifest.sessions(), forgotten->manifest.sessions());
  EXPECT_EQ(later->manifest.users(), forgotten->manifest.users());
  const auto reader = Open(*later);
  v1::CountTotal total;
  ASSERT_TRUE(reader->FindCount({v1::BY_ITEM, "rabbit", v1::PURCHASE}, &total).ok());
  EXPECT_EQ(total.events(), 1);
  EXPECT_EQ(total.value_micros(), 2'500'000);
  v1::SnapshotUser user;
  ASSERT_TRUE(reader->FindUser(alice, &user).ok());
  EXPECT_TRUE(user.profile().has_forgotten_until_unix_ms());
  EXPECT_EQ(user.profile().items_size(), 0);
  EXPECT_FALSE(user.has_list());
  v1::ScoredItems popular;
  ASSERT_TRUE(reader->FindPopular(kPopularOverall, &popular).ok());
  EXPECT_THAT(Names(*reader, popular), Not(Contains("rabbit")));
  // She comes back.
  Did(alice, v1::PURCHASE, "i1");
  const auto back = Run();
  ASSERT_TRUE(back.ok()) << back.status();
  ASSERT_TRUE(Open(*back)->FindUser(alice, &user).ok());
  EXPECT_EQ(user.profile().items_size(), 1);
  EXPECT_TRUE(user.profile().has_forgotten_until_unix_ms());
  EXPECT_GT(user.list().items_size(), 0);
}

TEST_F(RunTest, TheTopicOfItemsLiesOverImportedCatalogues) {
  auto import = history_->BeginImport(1, "file");
  ASSERT_TRUE(import.ok());
  std::vector<v1::Item> items(2);
  items[0].set_item_id("i0");
  items[0].set_title("imported");
  items[1].set_item_id("i1");
  items[1].set_title("imported");
  ASSERT_TRUE((*import)->Commit(0, items).ok());
  import->reset();
  PutItem("i1", "bags");
  Produce("items", "i2", std::string("{\"item_id\": \"i2\", \"title\": \"json\"}"));
  Produce("items", "i3", std::string("{\"no such field\": 1}"));
  Did("u", v1::PURCHASE, "i1");
  Did("u", v1::ADJUSTMENT, "postage");
  const auto report = Run();
  ASSERT_TRUE(report.ok()) << report.status();
  const auto reader = Open(*report);
  ASSERT_EQ(reader->item_count(), 3u);
  EXPECT_EQ(reader->ReadItem(ItemNumber{0})->title(), "imported");
  EXPECT_EQ(reader->ReadItem(ItemNumber{1})->title(), "");
  EXPECT_EQ(reader->ReadItem(ItemNumber{2})->title(), "json");
  v1::ScoredItems popular;
  ASSERT_TRUE(reader->FindPopular(PopularCategoryScope("bags"), &popular).ok());
  EXPECT_THAT(Names(*reader, popular), ElementsAre("i1"));
  EXPECT_EQ(report->manifest.imports_size(), 1);
}

TEST_F(RunTest, TheSameInputGivesTheSameDigestOnAnyNumberOfThreadsAndSegments) {
  SomeShopping();
  const auto first = Run();
  ASSERT_TRUE(first.ok()) << first.status();
  config_.mutable_batch()->set_threads(3);
  const auto second = Run();
  ASSERT_TRUE(second.ok()) << second.status();
  OpenHistory("other");
  const auto third = Run();
  ASSERT_TRUE(third.ok()) << third.status();
  EXPECT_EQ(second->manifest.content_digest(), first->manifest.content_digest());
  EXPECT_EQ(third->manifest.content_digest(), first->manifest.content_digest());
  EXPECT_EQ(second->manifest.config_digest(), first->manifest.config_digest());
  config_.mutable_batch()->set_seed(99);
  const auto other_seed = Run();
  ASSERT_TRUE(other_seed.ok());
  EXPECT_NE(other_seed->manifest.content_digest(), first->manifest.content_digest());
}

// Each run finds new events, whose file is merged with the one before.
TEST_F(RunTest, ARunMergesSmallFilesAndTheDigestStaysWhatItWas) {
  config_.mutable_batch()->mutable_history()->set_compact_files(2);
  std::vector<std::string> steps;
  options_.on_step = [&steps](absl::string_view step, absl::Duration, absl::string_view) { steps.emplace_back(step); };
  SomeShopping();
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(steps, Not(Contains("compaction"))) << "one file a partition";
  SomeShopping();
  const auto second = Run();
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(steps.back(), "compaction");
  EXPECT_EQ(history_->manifest().segments_size(), 2);
  steps.clear();
  const auto third = Run();
  ASSERT_TRUE(third.ok()) << third.status();
  EXPECT_THAT(steps, Not(Contains("compaction")));
  EXPECT_EQ(third->manifest.content_digest(), second->manifest.content_digest());
  EXPECT_EQ(third->manifest.config_digest(), second->manifest.config_digest());
}

TEST_F(RunTest, EventsThatGoThroughTheDiskGiveTheSameDigest) {
  SomeShopping();
  Did("late in the alphabet", v1::PURCHASE, "i1", 1);
  Did("nobody", v1::PURCHASE, "i0", 0, /*anonymous=*/true);
  Did("u3", v1::FORGET, "", 1);
  const auto in_memory = Run();
  ASSERT_TRUE(in_memory.ok()) << in_memory.status();
  for (const size_t events : {1, 9, 82}) {
    options_.events_in_memory = events;
    const auto report = Run();
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(report->manifest.content_digest(), in_memory->manifest.content_digest()) << events;
    EXPECT_EQ(report->manifest.sessions(), in_memory->manifest.sessions());
    EXPECT_FALSE(std::filesystem::exists(dir_.Join("snapshots/events.partial")));
  }
}

TEST_F(RunTest, ARunThatDoesNotFitRefusesToStartAndSaysWhatItNeeds) {
  SomeShopping();
  config_.mutable_batch()->set_memory_budget_bytes(100 << 20);
  const absl::Status status = Run().status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("memory_budget_gib=0.10"));
  EXPECT_FALSE(SnapshotStore(dir_.Join("snapshots")).Current().ok());
  std::string need;
  options_.on_step = [&need](absl::string_view step, absl::Duration, absl::string_view result) {
    if (step == "memory") need = std::string(result);
  };
  config_.mutable_batch()->set_memory_budget_bytes(int64_t{1} << 30);
  const auto report = Run();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(need, testing::HasSubstr("GiB for 80 events"));
}

TEST_F(RunTest, ModelsLearnFromTheLastDaysAndProfilesKnowAll) {
  Did("u1", v1::PURCHASE, "old");
  Did("u2", v1::PURCHASE, "old");
  clock_.Advance(absl::Hours(24 * 10));
  Did("u1", v1::PURCHASE, "new");
  config_.mutable_batch()->set_learn_from_days(9);
  const auto report = Run();
  ASSERT_TRUE(report.ok()) << report.status();
  const auto reader = Open(*report);
  v1::SnapshotUser user;
  ASSERT_TRUE(reader->FindUser("u2", &user).ok());
  EXPECT_FALSE(user.has_list()) << "nothing of it was learned from";
  EXPECT_EQ(user.profile().items_size(), 1) << "but what was bought stays suppressed";
  ASSERT_TRUE(reader->FindUser("u1", &user).ok());
  EXPECT_EQ(user.profile().items_size(), 2);
  EXPECT_THAT(Names(*reader, user.list()), Contains("new"));
  v1::ScoredItems popular;
  ASSERT_TRUE(reader->FindPopular(kPopularOverall, &popular).ok());
  EXPECT_THAT(Names(*reader, popular), ElementsAre("new"));
  v1::CountTotal total;
  ASSERT_TRUE(reader->FindCount({v1::BY_ITEM, "old", v1::PURCHASE}, &total).ok());
  EXPECT_EQ(total.events(), 2);
  config_.mutable_batch()->set_learn_from_days(11);
  const auto all = Run();
  ASSERT_TRUE(all.ok());
  EXPECT_NE(all->manifest.config_digest(), report->manifest.config_digest());
  ASSERT_TRUE(Open(*all)->FindUser("u2", &user).ok());
  EXPECT_TRUE(user.has_list());
}

TEST_F(RunTest, ModelsLearnFromAShareOfTheUsersThatTheirIdsChoose) {
  SomeShopping();
  config_.mutable_batch()->set_learn_user_share(0.5);
  const auto learned = [this] {
    const auto report = Run();
    EXPECT_TRUE(report.ok()) << report.status();
    std::vector<std::string> users;
    int profiles = 0;
    EXPECT_TRUE(Open(*report)
                    ->ForEachUser([&](absl::string_view id, const v1::SnapshotUser& user) {
                      if (user.has_list()) users.emplace_back(id);
                      profiles += user.has_profile() ? 1 : 0;
                      return absl::OkStatus();
                    })
                    .ok());
    EXPECT_EQ(profiles, 20);
    return users;
  };
  const std::vector<std::string> half = learned();
  EXPECT_GT(half.size(), 4u);
  EXPECT_LT(half.size(), 16u);
  config_.mutable_batch()->set_seed(2);
  EXPECT_EQ(learned(), half);
  config_.mutable_batch()->set_learn_user_share(0.8);
  EXPECT_THAT(learned(), testing::IsSupersetOf(half));
}

TEST_F(RunTest, TheManifestHasWhatAValidationSliceSaidOnAnyNumberOfThreads) {
  for (int user = 0; user < 210; ++user) {     // Enough for a slice.
    for (int item = 0; item < 6; ++item) {
      Did(absl::StrCat("u", user), v1::PURCHASE, absl::StrCat("i", (user % 3) * 10 + (user / 3 + item) % 9));
    }
  }
  std::string digest;
  for (const int threads : {1, 3}) {
    config_.mutable_batch()->set_threads(threads);
    const auto report = Run();
    ASSERT_TRUE(report.ok()) << report.status();
    std::map<std::string, double> recall;
    for (const v1::QualityMetric& metric : report->manifest.metrics()) {
      if (metric.name() == "recall_at_20") {
        recall[metric.model()] = metric.value();
      }
    }
    EXPECT_THAT(recall, ElementsAre(testing::Key(""), testing::Key("ease"), testing::Key("ials"), testing::Key("popularity")));
    EXPECT_GT(recall[""], 0.9);
    ASSERT_EQ(report->manifest.source_weights_size(), 2);
    EXPECT_EQ(report->manifest.source_weights(0).source(), "ials");
    EXPECT_DOUBLE_EQ(report->manifest.source_weights(0).weight() + report->manifest.source_weights(1).weight(), 1);
    EXPECT_TRUE(digest.empty() || report->manifest.content_digest() == digest);
    digest = report->manifest.content_digest();
  }
}

// With iALS alone the stored list is the folded-in list.
TEST_F(RunTest, TheSnapshotsFactorsFoldAUserIn) {
  SomeShopping();
  config_.mutable_batch()->mutable_blend()->set_ials_weight(1);
  const auto report = Run();
  ASSERT_TRUE(report.ok()) << report.status();
  const auto reader = Open(*report);
  const SnapshotFactors* const factors = reader->factors();
  ASSERT_NE(factors, nullptr);
  EXPECT_EQ(factors->items, reader->item_count());
  EXPECT_EQ(factors->dimensions, 8);
  const IalsFoldIn fold_in({factors->values.data(), factors->items, factors->dimensions},
                           {factors->eigenvalues.begin(), factors->eigenvalues.end()},
                           {factors->unobserved_weight, factors->regularization, factors->regularization_exponent});
  IalsFoldIn::Scratch scratch;
  v1::SnapshotUser user;
  ASSERT_TRUE(reader->FindUser("u3", &user).ok());
  std::vector<uint32_t> items(user.profile().items().begin(), user.profile().items().end());
  const std::vector<float> weights(items.size(), 5.0f);  // A purchase's.
  const auto list = fold_in.List(items, weights, 5, /*exclude_own=*/false, &scratch);
  ASSERT_EQ(list.size(), 5u);
  std::vector<uint32_t> numbers;
  for (const ScoredItem& scored : list) {
    numbers.push_back(Value(scored.item));
  }
  EXPECT_THAT(user.list().items(), testing::ElementsAreArray(numbers));
}

TEST_F(RunTest, TheSnapshotHasTheSessionsButThoseOfUsersWhoRefused) {
  v1::UserRecord record;
  record.set_user_id("u2");
  record.set_consent(v1::CONSENT_NO_TRACKING);
  Produce("users", "u2", record.SerializeAsString());
  const auto visit = [&](const std::string& user, const std::vector<std::string>& items, bool anonymous = false) {
    for (const std::string& item : items) {
      Did(user, v1::VIEW, item, 0, anonymous);
    }
    clock_.Advance(absl::Hours(1));
  };
  visit("u1", {"a", "b"});
  visit("u2", {"a", "c"});
  visit("u1", {"c", "b", "c"});
  visit("u3", {"a", "d"}, /*anonymous=*/true);
  visit("u4", {"a", "b"});
  Did("u4", v1::FORGET, "");
  const auto report = Run();
  ASSERT_TRUE(report.ok()) << report.status();
  const auto reader = Open(*report);
  const SessionIndex* const index = reader->sessions();
  ASSERT_NE(index, nullptr);
  std::vector<std::string> sessions;
  for (uint32_t session = 0; session < index->sessions(); ++session) {
    for (const uint32_t item : index->ItemsOf(session)) {
      sessions.push_back(absl::StrCat(session, " ", reader->ReadItem(ItemNumber{item})->item_id()));
    }
  }
  EXPECT_THAT(sessions, ElementsAre("0 a", "0 b", "1 b", "1 c", "2 a", "2 d"));
}

TEST_F(RunTest, TheManifestSaysHowMuchOfWhatIsServedIsNew) {
  config_.mutable_batch()->set_list_length(60);
  for (int user = 0; user < 210; ++user) {
    for (int item = 0; item < 6; ++item) {
      Did(absl::StrCat("u", user), v1::VIEW, absl::StrCat("i", (user % 3) * 40 + (user / 3 + 5 * item) % 37));
    }
  }
  const auto novelty = [](const v1::SnapshotManifest& manifest) -> std::optional<double> {
    for (const v1::QualityMetric& metric : manifest.metrics()) {
      if (metric.name() == "novelty_to_previous_at_20") {
        return metric.value();
      }
    }
    return std::nullopt;
  };
  const auto first = Run();
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(novelty(first->manifest), std::nullopt);
  const auto again = Run();
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(novelty(again->manifest), 0.0);
  for (int user = 0; user < 210; ++user) {  // Everybody turns to what the next group likes.
    for (int item = 0; item < 12; ++item) {
      Did(absl::StrCat("u", user), v1::PURCHASE, absl::StrCat("i", (user + 1) % 3 * 40 + (user / 3 + 3 * item) % 37));
    }
  }
  const auto changed = Run();
  ASSERT_TRUE(changed.ok()) << changed.status();
  ASSERT_TRUE(novelty(changed->manifest).has_value());
  EXPECT_GT(*novelty(changed->manifest), 0.3);
  EXPECT_LE(*novelty(changed->manifest), 1.0);
}

TEST_F(RunTest, WithoutActivationTheCurrentSnapshotStays) {
  ASSERT_TRUE(Run().ok());
  options_.activate = false;
  const auto report = Run();
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->manifest.generation(), 2);
  EXPECT_EQ(*SnapshotStore(dir_.Join("snapshots")).Current(), Generation{1});
}

// Everybody's lists hang on a few events; then ten times as many come.
TEST_F(RunTest, WhatTheGateRefusesIsKeptAndNotActivatedUnlessForced) {
  config_.mutable_batch()->mutable_gate()->set_compare_from_users(1);
  Did("u", v1::PURCHASE, "i");
  ASSERT_TRUE(Run()->activated);
  SomeShopping();
  const auto refused = Run();
  ASSERT_TRUE(refused.ok()) << refused.status();
  EXPECT_EQ(refused->verdict.outcome(), v1::GateVerdict::REFUSED);
  EXPECT_FALSE(refused->activated);
  const SnapshotStore store(dir_.Join("snapshots"));
  EXPECT_EQ(*store.Current(), Generation{1});
  EXPECT_EQ(store.List()->size(), 2u);
  EXPECT_TRUE(WasRefused(store.dir(), Generation{2}));
  options_.force = true;
  const auto forced = Run();
  ASSERT_TRUE(forced.ok()) << forced.status();
  EXPECT_EQ(*store.Current(), Generation{3});
  const auto verdict = ReadGateVerdict(store.dir(), Generation{3});
  ASSERT_TRUE(verdict.ok()) << verdict.status();
  EXPECT_EQ(verdict->outcome(), v1::GateVerdict::FORCED);
  EXPECT_EQ(verdict->active_generation(), 1);
  EXPECT_EQ(verdict->judged().seconds(), absl::ToUnixSeconds(clock_.Now()));
  EXPECT_EQ(forced->manifest.content_digest(), refused->manifest.content_digest());
}

// A disk that loses what was written: not even --force activates that.
TEST_F(RunTest, ASnapshotThatCannotBeReadBackIsNeverActivated) {
  SomeShopping();
  ASSERT_TRUE(Run().ok());
  options_.force = true;
  options_.on_step = [this](absl::string_view step, absl::Duration, absl::string_view) {
    if (step == "snapshot") {
      std::fstream file(dir_.Join("snapshots/2/items.bin"), std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(-1, std::ios::end);
      file.put('\x7f');
    }
  };
  const absl::Status status = Run().status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("items.bin"));
  const SnapshotStore store(dir_.Join("snapshots"));
  EXPECT_EQ(*store.Current(), Generation{1});
  EXPECT_TRUE(WasRefused(store.dir(), Generation{2}));
}

// Killed between the snapshot and its verdict, twice: once with a good one, once with one that the gate refuses.
TEST_F(RunTest, WhatAKilledRunDidNotJudgeIsJudgedByTheNext) {
  config_.mutable_batch()->mutable_gate()->set_compare_from_users(1);
  SomeShopping();
  ASSERT_TRUE(Run()->activated);
  options_.activate = false;
  ASSERT_TRUE(Run().ok());
  for (int i = 0; i < 500; ++i) {
    Did("u", v1::VIEW, absl::StrCat("new-", i));
  }
  ASSERT_EQ(Run()->verdict.outcome(), v1::GateVerdict::REFUSED);
  for (const char* generation : {"2", "3"}) {
    ASSERT_TRUE(std::filesystem::remove(dir_.Join(absl::StrCat("snapshots/", generation, "/GATE.json"))));
  }
  std::filesystem::create_directories(dir_.Join("snapshots/4.partial/db"));
  options_.activate = true;
  options_.force = true;
  const auto report = Run();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->manifest.generation(), 4);
  const std::string store = dir_.Join("snapshots");
  EXPECT_EQ(ReadGateVerdict(store, Generation{2})->outcome(), v1::GateVerdict::PASSED);
  EXPECT_TRUE(WasRefused(store, Generation{3}));
  EXPECT_EQ(RollbackTarget(store, *SnapshotStore(store).List(), Generation{4}), Generation{2});
  EXPECT_FALSE(std::filesystem::exists(dir_.Join("snapshots/4.partial")));
}

TEST_F(RunTest, TwoRunsOverOneSnapshotsDirectoryNeverOverlap) {
  auto other = History::Open({.dir = dir_.Join("other"), .events_topic = "events", .segment_size = 4});
  ASSERT_TRUE(other.ok()) << other.status();
  RunOptions second = options_;
  int steps = 0, refused = 0;
  options_.on_step = [&](absl::string_view, absl::Duration, absl::string_view) {
    ++steps;
    refused += absl::IsAborted(RunBatch(config_, second, **other, &log_, clock_).status());
  };
  const auto report = Run();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_GT(steps, 0);
  EXPECT_EQ(refused, steps);
  EXPECT_EQ(SnapshotStore(dir_.Join("snapshots")).List()->size(), 1u);
  EXPECT_TRUE(RunBatch(config_, second, **other, &log_, clock_).ok());
}

TEST_F(RunTest, WithoutKafkaImportsAloneCountAndEveryWIsZero) {
  const auto report = Run(/*kafka=*/false);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->manifest.watermarks_size(), 0);
  EXPECT_THAT(report->partitions, IsEmpty());
  EXPECT_EQ(*SnapshotStore(dir_.Join("snapshots")).Current(), Generation{1});
}

TEST_F(RunTest, AnUnreachableBrokerIsUnavailableAndChangesNothing) {
  log_.SetBrokerAway(true);
  EXPECT_EQ(Run().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(SnapshotStore(dir_.Join("snapshots")).Current().ok());
}

TEST_F(RunTest, AStopEndsTheRunBeforeItsNextStep) {
  int steps = 0;
  options_.on_step = [&steps](absl::string_view, absl::Duration, absl::string_view) { ++steps; };
  options_.stopped = [&steps] { return steps == 2; };
  EXPECT_EQ(Run().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(steps, 2);
}

// A limit on file sizes gives the errors that a full disk gives.
TEST_F(RunTest, AFullDiskLeavesTheCurrentSnapshotAndNothingHalfWritten) {
  ASSERT_TRUE(Run().ok());
  for (int i = 0; i < 3000; ++i) {
    Did(absl::StrCat("user-", i * 7919), v1::VIEW, absl::StrCat("item-", i * 104729));
  }
  ::signal(SIGXFSZ, SIG_IGN);
  struct rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  struct rlimit small = before;
  small.rlim_cur = 16 * 1024;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status status = Run().status();
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_FALSE(status.ok());
  const SnapshotStore store(dir_.Join("snapshots"));
  EXPECT_EQ(*store.Current(), Generation{1});
  EXPECT_EQ(store.List()->size(), 1u);
  const auto report = Run();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->manifest.events(), 3000);
}

}  // namespace
}  // namespace tributary::batch
