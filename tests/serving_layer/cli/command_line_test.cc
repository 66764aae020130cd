#include "serving_layer/cli/command_line.h"

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/event_log/topics.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/serving_layer/cli/command_line_fixture.h"

namespace tributary::serving {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

TEST_F(CommandLineTest, WrongUsageAnswersTwo) {
  EXPECT_EQ(Run({}), kExitUsage);
  EXPECT_EQ(Run({"nonsense"}), kExitUsage);
  EXPECT_EQ(Run({"similar"}), kExitUsage);
  EXPECT_EQ(Run({"recommend", "u", "--limit", "many"}), kExitUsage);
  EXPECT_EQ(Run({"recommend", "u", "--config", dir.Join("missing.textproto")}), kExitUsage);
  EXPECT_THAT(err.str(), AllOf(StartsWith("tributary: "), HasSubstr("missing.textproto")));
  EXPECT_EQ(Run({"--help"}), kExitOk);
  EXPECT_THAT(out.str(), HasSubstr("Exit codes"));
}

TEST_F(CommandLineTest, ErrorsAreOneLineAndTheirKindTheExitCode) {
  server.status = absl::InvalidArgumentError("limit refused: field=limit");
  EXPECT_EQ(Run({"recommend", "u"}), kExitRefused);
  EXPECT_EQ(err.str(), "tributary: limit refused: field=limit\n");
  server.status = absl::UnavailableError("no\nanswer");
  EXPECT_EQ(Run({"recommend", "u"}), kExitUnavailable);
  EXPECT_EQ(err.str(), "tributary: no answer\n");
  server.status = absl::UnimplementedError("not yet");
  EXPECT_EQ(Run({"recommend", "u"}), kExitFailed);
  EXPECT_THAT(out.str(), IsEmpty());
}

TEST_F(CommandLineTest, ServerComesFromTheFlagElseTheConfiguration) {
  Run({"popular", "--server", "far:1"});
  EXPECT_EQ(server.address, "far:1");
  Run({"--set", "serving { listen_address: \"near:2\" }", "popular"});
  EXPECT_EQ(server.address, "near:2");
}

TEST_F(CommandLineTest, ListsOfTheServerAreAskedForAndPrinted) {
  server.trending.add_items()->set_item_id("i1");
  EXPECT_EQ(Run({"trending", "--category", "mug", "--minutes", "90", "--limit", "3", "--not-item", "x"}), kExitOk);
  EXPECT_EQ(server.trending_request.category(), "mug");
  EXPECT_EQ(server.trending_request.segment(), "");
  EXPECT_EQ(server.trending_request.window().seconds(), 5400);
  EXPECT_EQ(server.trending_request.limit(), 3);
  EXPECT_THAT(server.trending_request.filter().exclude_items(), ElementsAre("x"));
  EXPECT_THAT(out.str(), HasSubstr("i1"));
  EXPECT_EQ(Run({"trending", "--minutes", "1441"}), kExitUsage);
  server.latest.add_items()->set_item_id("i2");
  EXPECT_EQ(Run({"latest", "--category", "mug"}), kExitOk);
  EXPECT_EQ(server.latest_request.category(), "mug");
  EXPECT_THAT(out.str(), HasSubstr("i2"));
  server.score.add_items()->set_item_id("i3");
  EXPECT_EQ(Run({"score", "ann", "i3", "i4"}), kExitOk);
  EXPECT_EQ(server.score_request.user_id(), "ann");
  EXPECT_THAT(server.score_request.item_ids(), ElementsAre("i3", "i4"));
  EXPECT_EQ(Run({"score", "ann"}), kExitUsage);
  EXPECT_EQ(Run({"--json", "score", "ann", "i3"}), kExitOk);
  EXPECT_THAT(out.str(), StartsWith("{\"items\":[{\"itemId\":\"i3\"}]"));
}

TEST_F(CommandLineTest, WhatIsKnownOfAUserIsATable) {
  const auto event = [](v1::EventType type, v1::EventReference* reference) {
    reference->set_type(type);
    reference->mutable_position()->set_offset(7);
    reference->mutable_age()->set_seconds(120);
  };
  server.titles["i1"] = "A mug";
  server.recently_viewed.add_items()->set_item_id("i1");
  event(v1::VIEW, server.recently_viewed.add_events());
  EXPECT_EQ(Run({"recent", "ann", "--limit", "4"}), kExitOk);
  EXPECT_EQ(server.recently_viewed_request.limit(), 4);
  EXPECT_THAT(out.str(), StartsWith("ITEM  TITLE  EVENT\ni1    A mug  VIEW 2m ago at 0:7\n"));
  auto* item = server.get_profile.add_items();
  item->set_item_id("i1");
  event(v1::VIEW, item->add_decisions());
  event(v1::LIKE, item->add_decisions());
  server.get_profile.set_segment("gold");
  EXPECT_EQ(Run({"profile", "ann"}), kExitOk);
  EXPECT_EQ(server.get_profile_request.user_id(), "ann");
  EXPECT_THAT(out.str(), StartsWith("ITEM  EVENTS\ni1    VIEW 2m ago at 0:7, LIKE 2m ago at 0:7\nsegment gold\n"));
}

TEST_F(CommandLineTest, BecauseAndWhyNotExplainTheListThatTheFlagsAskFor) {
  server.because.set_rank(3);
  server.because.mutable_item()->set_score(0.5);
  v1::Reason* reason = server.because.mutable_item()->add_reasons();
  reason->set_source(v1::PERSONAL);
  reason->set_part(0.5);
  EXPECT_EQ(Run({"because", "ann", "i1", "--limit", "5"}), kExitOk);
  EXPECT_EQ(server.because_request.item_id(), "i1");
  EXPECT_EQ(server.because_request.request().limit(), 5);
  EXPECT_THAT(out.str(), StartsWith("SHOWN: at place 3\nscore 0.5000: PERSONAL 0.5\n"));
  server.why_not.set_cause(v1::WhyNotResponse::SUPPRESSED);
  server.why_not.set_detail("bought");
  server.why_not.mutable_event()->set_type(v1::PURCHASE);
  EXPECT_EQ(Run({"why-not", "ann", "i2", "--exclude-seen", "--in-category", "mug"}), kExitOk);
  EXPECT_EQ(server.why_not_request.user_id(), "ann");
  EXPECT_TRUE(server.why_not_request.request().exclude_seen());
  EXPECT_THAT(server.why_not_request.request().filter().include_categories(), ElementsAre("mug"));
  EXPECT_THAT(out.str(), StartsWith("SUPPRESSED: bought (PURCHASE 0ms ago at 0:0)\n"));
  server.status = absl::NotFoundError("not in the answer");
  EXPECT_EQ(Run({"because", "ann", "i1"}), kExitRefused);
}

TEST_F(CommandLineTest, WatchPrintsEveryListUntilItHasEnoughOrTheStreamEnds) {
  server.lists.resize(3);
  for (v1::RecommendResponse& list : server.lists) {
    list.add_items()->set_item_id("i1");
  }
  EXPECT_EQ(Run({"--json", "watch", "ann", "--lists", "2"}), kExitOk);
  EXPECT_EQ(server.watch_request.request().user_id(), "ann");
  EXPECT_EQ(out.str(), "{\"items\":[{\"itemId\":\"i1\"}]}\n{\"items\":[{\"itemId\":\"i1\"}]}\n");
  server.status = absl::UnavailableError("the server is stopping");
  EXPECT_EQ(Run({"watch", "ann"}), kExitUnavailable);
}

TEST_F(CommandLineTest, ForgetPrintsTheReportsIdAndAsksForIt) {
  server.forget_user.set_report_id("2:17:1700");
  server.forget_user.mutable_token()->mutable_position()->set_offset(17);
  EXPECT_EQ(Run({"forget", "ann"}), kExitOk);
  EXPECT_EQ(server.forget_user_request.user_id(), "ann");
  EXPECT_THAT(out.str(), AllOf(HasSubstr("at 0:17\n"), HasSubstr("forget --report 2:17:1700\n")));
  auto* place = server.get_forget_report.add_places();
  place->set_name("snapshot 4");
  place->set_when("it is retired");
  EXPECT_EQ(Run({"forget", "--report", "2:17:1700"}), kExitOk);
  EXPECT_EQ(server.get_forget_report_request.report_id(), "2:17:1700");
  EXPECT_EQ(out.str(), "MAY HOLD IT  UNTIL  WHEN\nsnapshot 4   -      it is retired\n");
  EXPECT_EQ(Run({"forget", "ann", "--report", "2:17:1700"}), kExitUsage);
}

TEST_F(CommandLineTest, DrainAndResume) {
  server.drain.set_requests_under_way(2);
  EXPECT_EQ(Run({"drain"}), kExitOk);
  EXPECT_EQ(out.str(), "draining: requests under way 2\n");
  EXPECT_EQ(Run({"drain", "--resume"}), kExitOk);
  EXPECT_TRUE(server.drain_request.resume());
}

TEST_F(CommandLineTest, RecommendPassesEveryFlagOn) {
  EXPECT_EQ(Run({"recommend", "u", "--limit", "5", "--in-category", "mug,cup", "--not-item", "x", "--min-price", "1.5",
                 "--exclude-seen", "--max-per-category", "2", "--basket", "b1,b2", "--current-item", "c", "--page-token",
                 "p", "--after-token", "1:42", "--max-wait", "0.25"}),
            kExitOk);
  const v1::RecommendRequest& request = server.recommend_request;
  EXPECT_EQ(request.user_id(), "u");
  EXPECT_EQ(request.limit(), 5);
  EXPECT_THAT(request.filter().include_categories(), ElementsAre("mug", "cup"));
  EXPECT_THAT(request.filter().exclude_items(), ElementsAre("x"));
  EXPECT_EQ(request.filter().min_price(), 1.5);
  EXPECT_FALSE(request.filter().has_max_price());
  EXPECT_TRUE(request.exclude_seen());
  EXPECT_EQ(request.max_per_category(), 2);
  EXPECT_THAT(request.context().basket(), ElementsAre("b1", "b2"));
  EXPECT_EQ(request.context().current_item(), "c");
  EXPECT_EQ(request.page_token(), "p");
  EXPECT_EQ(request.min_freshness().position().partition(), 1);
  EXPECT_EQ(request.min_freshness().position().offset(), 42);
  EXPECT_EQ(request.max_wait().nanos(), 250'000'000);
}

TEST_F(CommandLineTest, RecommendPrintsItemsAndFreshnessOrJson) {
  server.recommend.add_items()->set_item_id("a");
  server.recommend.mutable_freshness()->set_generation(3);
  server.recommend.set_next_page_token("more");
  EXPECT_EQ(Run({"recommend", "u"}), kExitOk);
  EXPECT_THAT(out.str(), AllOf(HasSubstr("RANK"), HasSubstr("snapshot 3\n"), HasSubstr("--page-token more")));
  EXPECT_EQ(Run({"recommend", "u", "--json"}), kExitOk);
  EXPECT_EQ(out.str(), "{\"items\":[{\"itemId\":\"a\"}],\"nextPageToken\":\"more\",\"freshness\":{\"generation\":\"3\"}}\n");
}

TEST_F(CommandLineTest, TablesShowTitlesWhereThereAreSomeAndJsonAsksForNone) {
  for (const std::string id : {"a", "b", "c"}) {
    server.recommend.add_items()->set_item_id(id);
  }
  server.titles = {{"a", "Green tea"}, {"c", "Toy robot"}};
  EXPECT_EQ(Run({"recommend", "u"}), kExitOk);
  EXPECT_THAT(out.str(), AllOf(HasSubstr("TITLE"), HasSubstr("a     Green tea"), HasSubstr("c     Toy robot")));
  server.asked_items.clear();
  EXPECT_EQ(Run({"recommend", "u", "--json"}), kExitOk);
  EXPECT_THAT(server.asked_items, IsEmpty());
  // A server that stops answering costs the titles, not the answer, and is asked once.
  server.get_item_status = absl::UnavailableError("away");
  EXPECT_EQ(Run({"recommend", "u"}), kExitOk);
  EXPECT_THAT(server.asked_items, ElementsAre("a"));
  EXPECT_THAT(out.str(), HasSubstr("3     c"));
}

TEST_F(CommandLineTest, ABadTokenIsRefusedAndAnUnreachedOneAnswersFive) {
  for (const std::string token : {"7", "x:1", "1:", "1:-2"}) {
    EXPECT_EQ(Run({"recommend", "u", "--after-token", token}), kExitRefused) << token;
    EXPECT_THAT(err.str(), HasSubstr("field=after-token"));
  }
  server.recommend.mutable_freshness()->add_degraded(v1::FRESHNESS_NOT_REACHED);
  EXPECT_EQ(Run({"recommend", "u", "--after-token", "1:2"}), kExitNotVisible);
}

TEST_F(CommandLineTest, SimilarPopularAndTotalsAsk) {
  EXPECT_EQ(Run({"similar", "a", "b", "--user", "u"}), kExitOk);
  EXPECT_THAT(server.similar_request.item_ids(), ElementsAre("a", "b"));
  EXPECT_EQ(server.similar_request.user_id(), "u");
  EXPECT_EQ(Run({"popular", "--category", "mug", "--limit", "3"}), kExitOk);
  EXPECT_EQ(server.popular_request.category(), "mug");
  EXPECT_EQ(server.popular_request.limit(), 3);
  EXPECT_EQ(Run({"totals", "by_item", "a", "b"}), kExitOk);
  EXPECT_EQ(server.totals_request.measure(), v1::BY_ITEM);
  EXPECT_THAT(server.totals_request.keys(), ElementsAre("a", "b"));
  EXPECT_EQ(Run({"totals", "by_moon"}), kExitRefused);
  EXPECT_THAT(err.str(), HasSubstr("field=measure"));
  EXPECT_EQ(Run({"windows", "by_item", "view", "a", "--hours", "2"}), kExitOk);
  EXPECT_EQ(server.windows_request.measure(), v1::BY_ITEM);
  EXPECT_EQ(server.windows_request.type(), v1::VIEW);
  EXPECT_EQ(server.windows_request.key(), "a");
  EXPECT_EQ(server.windows_request.end().seconds() - server.windows_request.start().seconds(), 7200);
  EXPECT_EQ(Run({"windows", "by_item", "moonrise", "a"}), kExitRefused);
  EXPECT_EQ(Run({"experiments", "colour"}), kExitOk);
  EXPECT_EQ(server.experiment_rates_request.experiment(), "colour");
  EXPECT_EQ(Run({"experiments", "--bucket", "old/a,old/b"}), kExitOk);
  EXPECT_THAT(server.experiment_rates_request.buckets(), ElementsAre("old/a", "old/b"));
}

TEST_F(CommandLineTest, HealthAsksOnceOrWaits) {
  EXPECT_EQ(Run({"health"}), kExitOk);
  EXPECT_EQ(out.str(), "serving\n");
  EXPECT_EQ(server.health_timeout, absl::ZeroDuration());
  EXPECT_EQ(Run({"health", "--wait", "1.5", "--json"}), kExitOk);
  EXPECT_EQ(out.str(), "{\"status\":\"SERVING\"}\n");
  EXPECT_EQ(server.health_timeout, absl::Milliseconds(1500));
  server.status = absl::UnavailableError("not serving: server=near:1");
  EXPECT_EQ(Run({"health"}), kExitUnavailable);
  EXPECT_EQ(err.str(), "tributary: not serving: server=near:1\n");
}

TEST_F(CommandLineTest, PublishTakesAFlagAFieldOrJson) {
  server.publish.mutable_position()->set_partition(1);
  server.publish.mutable_position()->set_offset(42);
  EXPECT_EQ(Run({"publish", "--user", "u", "--type", "add-to-cart", "--item", "a", "--value", "2.5", "--attribute",
                 "store=x=y", "--time", "2026-01-31T12:00:00Z", "--event-id", "e"}),
            kExitOk);
  EXPECT_EQ(out.str(), "published at 1:42\n");
  const v1::Event event = server.publish_request.event();
  EXPECT_EQ(event.type(), v1::ADD_TO_CART);
  EXPECT_EQ(event.value(), 2.5);
  EXPECT_FALSE(event.has_quantity());
  EXPECT_EQ(event.attributes().at("store"), "x=y");
  EXPECT_EQ(event.event_time().seconds(), 1769860800);
  EXPECT_EQ(Run({"publish", "--event-json", R"({"userId":"v","type":"VIEW"})"}), kExitOk);
  EXPECT_EQ(server.publish_request.event().user_id(), "v");
}

TEST_F(CommandLineTest, PublishNamesTheFieldThatIsWrong) {
  EXPECT_EQ(Run({"publish", "--user", "u", "--type", "peek"}), kExitRefused);
  EXPECT_THAT(err.str(), HasSubstr("field=type"));
  EXPECT_EQ(Run({"publish", "--user", "u", "--type", "VIEW", "--time", "yesterday"}), kExitRefused);
  EXPECT_THAT(err.str(), HasSubstr("field=time"));
  EXPECT_EQ(Run({"publish", "--user", "u", "--type", "VIEW", "--attribute", "novalue"}), kExitRefused);
  EXPECT_THAT(err.str(), HasSubstr("field=attribute"));
  EXPECT_EQ(Run({"publish", "--event-json", R"({"usr":"v"})"}), kExitRefused);
  EXPECT_THAT(err.str(), HasSubstr("usr"));
  EXPECT_EQ(Run({"publish", "--event-json", "{}", "--user", "u"}), kExitRefused);
}

TEST_F(CommandLineTest, PublishWaitsUntilAnAnswerRestsOnTheEvent) {
  server.publish.mutable_token()->mutable_position()->set_offset(42);
  EXPECT_EQ(Run({"publish", "--user", "u", "--type", "VIEW", "--item", "a", "--wait"}), kExitOk);
  EXPECT_EQ(server.recommend_request.min_freshness().position().offset(), 42);
  EXPECT_THAT(out.str(), HasSubstr("visible after 0.0 ms\n"));
  EXPECT_EQ(Run({"publish", "--user", "u", "--type", "VIEW", "--item", "a", "--wait", "--json"}), kExitOk);
  EXPECT_THAT(out.str(), HasSubstr("\"visibleMs\":0.000}\n"));
  server.recommend.mutable_freshness()->add_degraded(v1::FRESHNESS_NOT_REACHED);
  EXPECT_EQ(Run({"publish", "--user", "u", "--type", "VIEW", "--item", "a", "--wait"}), kExitNotVisible);
  EXPECT_THAT(err.str(), HasSubstr("not visible within 10 s"));
}

TEST_F(CommandLineTest, ItemsAreReadAsJsonLines) {
  const std::string path = dir.Write("items.jsonl", "{\"itemId\":\"a\"}\n\n{\"itemId\":\"b\",\"stock\":\"3\"}\n");
  EXPECT_EQ(Run({"items", "put", "--file", path}), kExitOk);
  EXPECT_EQ(out.str(), "2 items put\n");
  ASSERT_EQ(server.items.size(), 2u);
  EXPECT_EQ(server.items[1].stock(), 3);
  EXPECT_EQ(Run({"items", "put", "--file", dir.Write("bad.jsonl", "{\"itemId\":\"a\"}\n{\"itemid2\":\"b\"}\n")}),
            kExitRefused);
  EXPECT_THAT(err.str(), AllOf(HasSubstr("itemid2"), HasSubstr("line=2")));
  EXPECT_EQ(Run({"items", "put", "--file", dir.Join("none")}), kExitRefused);
}

TEST_F(CommandLineTest, RulesArePutListedAndDeleted) {
  EXPECT_EQ(Run({"rules", "put", "r1", "--action", "boost", "--category", "mug", "--strength", "0.5", "--end",
                 "2026-01-31T12:00:00Z"}),
            kExitOk);
  EXPECT_EQ(server.rule_request.rule().action(), v1::BOOST);
  EXPECT_EQ(server.rule_request.rule().category(), "mug");
  EXPECT_EQ(server.rule_request.rule().end().seconds(), 1769860800);
  EXPECT_EQ(Run({"rules", "put", "r1", "--action", "shout"}), kExitRefused);
  EXPECT_EQ(Run({"rules", "put", "r1", "--action", "hide", "--item", "a", "--label", "b"}), kExitUsage);
  server.rules.add_rules()->set_rule_id("r1");
  EXPECT_EQ(Run({"rules", "list"}), kExitOk);
  EXPECT_THAT(out.str(), HasSubstr("r1"));
  EXPECT_EQ(Run({"rules", "delete", "r1"}), kExitOk);
  EXPECT_EQ(server.deleted_rule, "r1");
}

TEST_F(CommandLineTest, TopicsAreCreatedAndReplayFillsThem) {
  EXPECT_EQ(Run({"topics", "create", "--set", "kafka { partitions: 2 topic_prefix: \"t.\" }"}), kExitOk);
  EXPECT_THAT(out.str(), HasSubstr("t.events"));
  EXPECT_EQ(log.PartitionCount("t.events").value(), 2);
  const std::string path = dir.Write("events.jsonl",
                                     "{\"userId\":\"u\",\"type\":\"VIEW\",\"itemId\":\"a\",\"eventTime\":\"2020-01-01T00:00:00Z\"}\n");
  EXPECT_EQ(Run({"replay", path, "--speed", "100", "--shift-to-now", "--set", "kafka { topic_prefix: \"t.\" }"}), kExitOk)
      << err.str();
  EXPECT_THAT(out.str(), HasSubstr("1 events sent"));
  EXPECT_EQ(log.Records({"t.events", PartitionOfKey("u", 2)}, Isolation::kCommitted).size(), 1u);
  log_status = absl::UnavailableError("no broker: brokers=127.0.0.1:9092");
  EXPECT_EQ(Run({"topics", "create"}), kExitUnavailable);
}

TEST_F(CommandLineTest, ReplayTellsItsProgressOnceASecond) {
  ASSERT_EQ(Run({"topics", "create"}), kExitOk);
  std::string lines;
  for (int i = 0; i <= 10; ++i) {
    absl::StrAppend(&lines, R"({"userId":"u","type":"VIEW","itemId":"a","eventTime":"2020-01-01T00:00:0)", i * 3 / 10, ".",
                    i * 3 % 10, "00Z\"}\n");
  }
  const std::string path = dir.Write("events.jsonl", lines);
  EXPECT_EQ(Run({"replay", path, "--speed", "1"}), kExitOk);
  // Events every 0.3 s for 3 s: told at 1.2 s and 2.4 s.
  EXPECT_EQ(err.str(), "replay: 5 of 11 events sent\nreplay: 9 of 11 events sent\n");
  EXPECT_EQ(Run({"replay", path, "--speed", "0"}), kExitOk);
  EXPECT_EQ(err.str(), "");
}

}  // namespace
}  // namespace tributary::serving
