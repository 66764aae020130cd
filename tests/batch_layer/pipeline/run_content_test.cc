// What is in a snapshot, and what is not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/ials/fold_in.h"
#include "tests/batch_layer/pipeline/run_fixture.h"

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
  EXPECT_EQ(manifest.observations(), 80);
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
    EXPECT_THAT(recall, ElementsAre(testing::Key(""), testing::Key("ease"), testing::Key("ials"), testing::Key("newcomer"),
                                    testing::Key("popularity")));
    EXPECT_GT(recall[""], 0.9);
    ASSERT_EQ(report->manifest.source_weights_size(), 4);
    EXPECT_EQ(report->manifest.source_weights(0).source(), "ials");
    EXPECT_EQ(report->manifest.source_weights(2).source(), "session");
    EXPECT_EQ(report->manifest.source_weights(3).source(), "newcomer");
    EXPECT_TRUE(report->manifest.fold_in().has_folded_share());
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

}  // namespace
}  // namespace tributary::batch
