#include "serving_layer/serving_layer.h"

#include <atomic>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/serving_layer/serving_layer_fixture.h"

namespace tributary::serving {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

TEST_F(ServingLayerTest, ServesTheListOfTheSnapshotWithReasonsAndFreshness) {
  world_.WriteSnapshot(1, 10, 0, 0);
  world_.Activate(1);
  StartReady();
  const v1::RecommendResponse response = RecommendTo("ann", 3);
  EXPECT_EQ(Ids(response), "i0 i1 i2");
  ASSERT_EQ(response.items(0).reasons_size(), 1);
  EXPECT_EQ(response.items(0).reasons(0).source(), v1::PERSONAL);
  EXPECT_EQ(response.freshness().generation(), 1);
  EXPECT_THAT(response.freshness().degraded(), Not(Contains(v1::UNKNOWN_USER)));
}

TEST_F(ServingLayerTest, ALiveViewBoostsItsCategoryAndAPurchaseAndADislikeAreGone) {
  world_.WriteSnapshot(1, 10, 0, 0);
  world_.Activate(1);
  StartReady();
  world_.PutView(0, "ann", world_.Position(20),
                 {world_.FactOf(v1::VIEW, "i9", 11), world_.FactOf(v1::PURCHASE, "i0", 12),
                  world_.FactOf(v1::DISLIKE, "i1", 13)});
  world_.PutProgress(0, world_.Position(20));
  AwaitApplied(0, 20);
  const v1::RecommendResponse response = RecommendTo("ann");
  EXPECT_THAT(Ids(response), Not(HasSubstr("i0")));
  EXPECT_THAT(Ids(response), Not(HasSubstr("i1")));
  const v1::RecommendedItem* toy = nullptr;
  for (const v1::RecommendedItem& item : response.items()) {
    if (item.item_id() == "i3") {
      toy = &item;
    }
  }
  ASSERT_NE(toy, nullptr);
  bool boosted = false;
  for (const v1::Reason& reason : toy->reasons()) {
    if (reason.has_category_boost()) {
      boosted = true;
      EXPECT_EQ(reason.category_boost().category(), "toys");
      EXPECT_EQ(reason.category_boost().cause().position().offset() > 0, true);
    }
  }
  EXPECT_TRUE(boosted);
}

TEST_F(ServingLayerTest, AViewRaisesTheItemsOfItsCategoryAndKeepsTheOrderOfTheRest) {
  world_.WriteSnapshot(1, 10, 0, 0);
  world_.Activate(1);
  StartReady();
  EXPECT_EQ(Ids(RecommendTo("ann")), "i0 i1 i2 i3 i4 i5 i6 i7 i8 i9");
  world_.PutView(0, "ann", world_.Position(20), {world_.FactOf(v1::VIEW, "i9", 11)});
  world_.PutProgress(0, world_.Position(20));
  AwaitApplied(0, 20);
  // Odd items are toys as i9 is: i3 passes i2, and within a category nothing moves. (The session adds i0, i9's neighbour.)
  const std::string raised = Ids(RecommendTo("ann"));
  EXPECT_LT(raised.find("i3"), raised.find("i2"));
  EXPECT_LT(raised.find("i1"), raised.find("i3"));
  EXPECT_LT(raised.find("i0"), raised.find("i2"));
  EXPECT_LT(raised.find("i2"), raised.find("i4"));
}

TEST_F(ServingLayerTest, AnUnknownUserGetsTheFallbackWithTheFlag) {
  world_.WriteSnapshot(1, 10, 0, 0);
  world_.Activate(1);
  StartReady();
  const v1::RecommendResponse response = RecommendTo("nobody", 2);
  EXPECT_EQ(Ids(response), "i0 i1");
  EXPECT_THAT(response.freshness().degraded(), Contains(v1::UNKNOWN_USER));
}

TEST_F(ServingLayerTest, WithoutASnapshotItIsNotReadyUnlessToldSoAndFlagsTheAnswer) {
  world_.config.mutable_serving()->set_serve_without_snapshot(true);
  StartReady();
  EXPECT_THAT(RecommendTo("ann").freshness().degraded(), Contains(v1::NO_SNAPSHOT));
}

TEST_F(ServingLayerTest, PagesNeverRepeatAndTheirTokensAreChecked) {
  world_.WriteSnapshot(1, 10, 0, 0);
  world_.Activate(1);
  StartReady();
  v1::RecommendRequest request;
  request.set_user_id("ann");
  request.set_limit(4);
  std::string all;
  int pages = 0;
  v1::RecommendResponse response;
  do {
    response.Clear();
    const grpc::Status status = Recommend(request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    absl::StrAppend(&all, Ids(response), " ");
    request.set_page_token(response.next_page_token());
    ASSERT_LE(++pages, 5);
  } while (!response.next_page_token().empty());
  EXPECT_EQ(all, "i0 i1 i2 i3 i4 i5 i6 i7 i8 i9 ");

  request.clear_page_token();
  ASSERT_TRUE(Recommend(request, &response).ok());
  const std::string token = response.next_page_token();
  std::string forged = token;
  forged[forged.size() / 2] = forged[forged.size() / 2] == 'A' ? 'B' : 'A';
  request.set_page_token(forged);
  EXPECT_EQ(Recommend(request, &response).error_code(), grpc::INVALID_ARGUMENT);
  request.set_page_token(token);
  request.set_exclude_seen(true);
  EXPECT_THAT(Recommend(request, &response).error_message(), HasSubstr("different request"));
  request.clear_exclude_seen();
  world_.WriteSnapshot(2, 10, 0, 0);
  world_.Activate(2);
  Eventually([&] { return RecommendTo("ann").freshness().generation() == 2; }, "generation 2");
  const grpc::Status stale = Recommend(request, &response);
  EXPECT_EQ(stale.error_code(), grpc::FAILED_PRECONDITION);
  EXPECT_THAT(stale.error_message(), HasSubstr("stale"));
}

TEST_F(ServingLayerTest, RequestsOutsideTheLimitsNameTheField) {
  world_.WriteSnapshot(1, 10, 0, 0);
  world_.Activate(1);
  StartReady();
  const auto refused = [&](const std::function<void(v1::RecommendRequest*)>& change) {
    v1::RecommendRequest request;
    request.set_user_id("ann");
    change(&request);
    v1::RecommendResponse response;
    const grpc::Status status = Recommend(request, &response);
    return absl::StrCat(status.error_code(), " ", status.error_message());
  };
  const std::string invalid = absl::StrCat(grpc::INVALID_ARGUMENT, " ");
  EXPECT_THAT(refused([](auto* r) { r->clear_user_id(); }), StartsWith(invalid + "user_id"));
  EXPECT_THAT(refused([](auto* r) { r->set_user_id(std::string(257, 'x')); }), StartsWith(invalid + "user_id"));
  EXPECT_THAT(refused([](auto* r) { r->set_user_id("a\nb"); }), StartsWith(invalid + "user_id"));
  EXPECT_THAT(refused([](auto* r) { r->set_limit(101); }), StartsWith(invalid + "limit"));
  EXPECT_THAT(refused([](auto* r) { r->set_limit(-1); }), StartsWith(invalid + "limit"));
  EXPECT_THAT(refused([](auto* r) { r->set_max_per_category(-1); }), StartsWith(invalid + "max_per_category"));
  EXPECT_THAT(refused([](auto* r) { r->mutable_max_wait()->set_seconds(11); }), StartsWith(invalid + "max_wait"));
  EXPECT_THAT(refused([](auto* r) { r->mutable_filter()->set_min_price(-1); }), StartsWith(invalid + "filter.min_price"));
  EXPECT_THAT(refused([](auto* r) {
                for (int i = 0; i <= 1000; ++i) {
                  r->mutable_filter()->add_exclude_items("x");
                }
              }),
              StartsWith(invalid + "filter.exclude_items"));
  EXPECT_THAT(refused([](auto* r) { r->set_page_token("x"); }), StartsWith(invalid + "page_token"));
  EXPECT_THAT(refused([](auto* r) { r->set_as_of_generation(-1); }), StartsWith(invalid + "as_of_generation"));
  EXPECT_THAT(refused([](auto* r) { r->mutable_as_of_time()->set_nanos(-1); }), StartsWith(invalid + "as_of_time"));
  EXPECT_THAT(refused([](auto* r) { r->set_experiment_bucket("b"); }), StartsWith(invalid + "experiment_bucket"));
  EXPECT_THAT(refused([](auto* r) { r->set_experiment_bucket(std::string(65, 'b')); }),
              StartsWith(invalid + "experiment_bucket is longer"));
}

TEST_F(ServingLayerTest, PublishWritesTheEventAndItsTokenIsWaitedFor) {
  world_.WriteSnapshot(1, 0, 0, 0);
  world_.Activate(1);
  StartReady();
  v1::PublishRequest publish;
  publish.mutable_event()->set_user_id("ann");
  publish.mutable_event()->set_type(v1::VIEW);
  publish.mutable_event()->set_item_id("i3");
  v1::PublishResponse published;
  grpc::ClientContext publish_context;
  auto events = v1::EventService::NewStub(channel_);
  ASSERT_TRUE(events->Publish(&publish_context, publish, &published).ok());
  const int partition = published.position().partition();
  const auto records = world_.log.Records({world_.topics.events, PartitionId{partition}}, Isolation::kCommitted);
  ASSERT_EQ(records.size(), 1U);
  v1::Event written;
  ASSERT_TRUE(written.ParseFromString(*records[0].value));
  EXPECT_EQ(records[0].key, "ann");
  EXPECT_EQ(written.event_time().seconds(), absl::ToUnixSeconds(world_.clock.Now()));

  // Not reached, and no time to wait.
  v1::RecommendRequest request;
  request.set_user_id("ann");
  *request.mutable_min_freshness() = published.token();
  request.mutable_max_wait()->set_nanos(1'000'000);
  v1::RecommendResponse response;
  ASSERT_TRUE(Recommend(request, &response).ok());
  EXPECT_THAT(response.freshness().degraded(), Contains(v1::FRESHNESS_NOT_REACHED));

  // The answer comes once progress does.
  request.mutable_max_wait()->set_nanos(0);
  request.mutable_max_wait()->set_seconds(10);
  std::thread waiting([&] {
    v1::RecommendResponse fresh;
    EXPECT_TRUE(Recommend(request, &fresh).ok());
    EXPECT_THAT(fresh.freshness().degraded(), Not(Contains(v1::FRESHNESS_NOT_REACHED)));
  });
  world_.PutView(partition, "ann", world_.Position(1), {world_.FactOf(v1::VIEW, "i3", 0)});
  world_.PutProgress(partition, world_.Position(1));
  waiting.join();
}

TEST_F(ServingLayerTest, PublishRefusesByFieldAndIsUnavailableWhileTheLogIsAway) {
  world_.WriteSnapshot(1, 0, 0, 0);
  world_.Activate(1);
  StartReady();
  auto events = v1::EventService::NewStub(channel_);
  const auto publish = [&](const v1::PublishRequest& request) {
    v1::PublishResponse response;
    grpc::ClientContext context;
    return events->Publish(&context, request, &response);
  };
  EXPECT_EQ(publish({}).error_code(), grpc::INVALID_ARGUMENT);
  v1::PublishRequest request;
  request.mutable_event()->set_user_id("ann");
  request.mutable_event()->set_type(v1::VIEW);
  request.mutable_event()->set_item_id("i3");
  request.mutable_event()->set_value(-1);
  EXPECT_THAT(publish(request).error_message(), HasSubstr("event.value"));
  request.mutable_event()->clear_value();
  world_.log.SetBrokerAway(true);
  EXPECT_EQ(publish(request).error_code(), grpc::UNAVAILABLE);
  // What is known keeps being served, and says so.
  Eventually(
      [&] {
        const auto degraded = RecommendTo("ann").freshness().degraded();
        return std::find(degraded.begin(), degraded.end(), v1::LOG_UNREACHABLE) != degraded.end();
      },
      "LOG_UNREACHABLE");
  EXPECT_THAT(Ids(RecommendTo("ann", 2)), "i0 i1");
  world_.log.SetBrokerAway(false);
  EXPECT_TRUE(publish(request).ok());
}

TEST_F(ServingLayerTest, TotalsAndSuppressionsStayEqualAcrossSwapAndRollback) {
  // 12 purchases in all. Generation 1 counts offsets below 20 (8 purchases, 2 of them from 16 on), generation 2 those
  // below 36 (11, of which 1 from 32 on). Live: [0,16) 6, [16,32) 4, [32,48) 2. ann bought i0 at 18 and i1 at 35.
  world_.WriteSnapshot(1, 20, 8, 2, {{0, 18}});
  world_.WriteSnapshot(2, 36, 11, 1, {{0, 18}, {1, 35}});
  world_.PutCounts(0, 0, world_.Position(48), 6);
  world_.PutCounts(0, 16, world_.Position(48), 4);
  world_.PutCounts(0, 32, world_.Position(48), 2);
  world_.PutView(0, "ann", world_.Position(48), {world_.FactOf(v1::PURCHASE, "i0", 18), world_.FactOf(v1::PURCHASE, "i1", 35)});
  world_.PutProgress(0, world_.Position(48));
  world_.Activate(1);
  StartReady();
  for (const int64_t generation : {1, 2, 1, 2}) {
    world_.Activate(generation);
    Eventually([&] { return RecommendTo("ann").freshness().generation() == generation; }, "the generation");
    EXPECT_EQ(Purchases(), 12) << generation;
    EXPECT_EQ(Ids(RecommendTo("ann", 3)), "i2 i3 i4") << generation;
  }
}

TEST_F(ServingLayerTest, TheLiveSegmentThatWCutsAddsNothingUntilItHasReachedW) {
  world_.WriteSnapshot(1, 20, 8, 2);
  world_.Activate(1);
  world_.PutCounts(0, 16, world_.Position(18), 1);
  world_.PutProgress(0, world_.Position(18));
  StartReady();
  AwaitApplied(0, 18);
  EXPECT_EQ(Purchases(), 8);
  world_.PutCounts(0, 16, world_.Position(24), 5);
  world_.PutProgress(0, world_.Position(24));
  AwaitApplied(0, 24);
  Eventually([&] { return Purchases() == 8 + 5 - 2; }, "the live counts");
}

TEST_F(ServingLayerTest, NoRequestFailsWhileSnapshotsAreSwappedUnderLoad) {
  world_.WriteSnapshot(1, 10, 0, 0, {{0, 5}});
  world_.WriteSnapshot(2, 10, 0, 0, {{0, 5}});
  world_.Activate(1);
  StartReady();
  std::atomic<bool> done{false};
  std::atomic<int> failed{0};
  std::vector<std::thread> clients;
  for (int c = 0; c < 3; ++c) {
    clients.emplace_back([&] {
      v1::RecommendRequest request;
      request.set_user_id("ann");
      while (!done) {
        v1::RecommendResponse response;
        const grpc::Status status = Recommend(request, &response);
        // Nine items whichever snapshot answers, and never what was bought.
        if (!status.ok() || response.items_size() != 9 || Ids(response).find("i0") != std::string::npos) {
          ++failed;
        }
      }
    });
  }
  for (int swap = 0; swap < 10; ++swap) {
    const int64_t generation = 1 + swap % 2;
    world_.Activate(generation);
    Eventually([&] { return RecommendTo("ann").freshness().generation() == generation; }, "the generation");
  }
  done = true;
  for (std::thread& client : clients) {
    client.join();
  }
  EXPECT_EQ(failed, 0);
  // The last swap is counted when its last reader is gone, after the first answer from it.
  Eventually([&] { return world_.metrics.AddCounter("tributary_serving_snapshot_swaps_total", "").value() >= 10; },
             "ten swaps");
}

TEST_F(ServingLayerTest, ADamagedSnapshotIsRefusedWithItsReasonAndTheLastGoodOneServes) {
  world_.WriteSnapshot(1, 10, 0, 0);
  world_.Activate(1);
  StartReady();
  world_.WriteSnapshot(2, 10, 0, 0);
  world_.Activate(2);  // Complete when it was named ...
  Eventually([&] { return RecommendTo("ann").freshness().generation() == 2; }, "generation 2");
  world_.WriteSnapshot(3, 10, 0, 0);
  const std::string items = world_.config.storage().snapshots_dir() + "/3/items.bin";
  {
    std::fstream file(items, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(20);
    file.put('\x7f');
  }
  world_.Activate(3);  // ... and of the right size, so only the checksum tells.
  Eventually([&] { return !ListSnapshots().snapshots(0).refused().empty(); }, "the refusal");
  EXPECT_THAT(ListSnapshots().snapshots(0).refused(), HasSubstr("items.bin"));
  EXPECT_TRUE(ListSnapshots().snapshots(1).serving());
  EXPECT_EQ(RecommendTo("ann").freshness().generation(), 2);
}

TEST_F(ServingLayerTest, ASnapshotWhoseWLiesBelowTheFloorIsRefused) {
  world_.WriteSnapshot(1, 10, 0, 0);
  world_.WriteSnapshot(2, 40, 0, 0);
  world_.PutProgress(0, world_.Position(50, 1, 30));
  world_.Activate(2);
  StartReady();
  world_.Activate(1);
  Eventually([&] { return !ListSnapshots().snapshots(1).refused().empty(); }, "the refusal");
  EXPECT_THAT(ListSnapshots().snapshots(1).refused(), AllOf(HasSubstr("watermark=10"), HasSubstr("floor=30")));
  EXPECT_EQ(RecommendTo("ann").freshness().generation(), 2);
}

TEST_F(ServingLayerTest, ItemsAndRulesTakeEffectAndAreListed) {
  world_.WriteSnapshot(1, 10, 0, 0);
  world_.Activate(1);
  StartReady();
  auto catalogue = v1::CatalogueService::NewStub(channel_);
  v1::PutItemRequest item;
  item.mutable_item()->set_item_id("i0");
  item.mutable_item()->set_stock(0);
  v1::PutItemResponse item_response;
  grpc::ClientContext item_context;
  ASSERT_TRUE(catalogue->PutItem(&item_context, item, &item_response).ok());
  v1::PutRuleRequest rule;
  rule.mutable_rule()->set_rule_id("top");
  rule.mutable_rule()->set_action(v1::PIN);
  rule.mutable_rule()->set_item_id("i7");
  v1::PutRuleResponse rule_response;
  grpc::ClientContext rule_context;
  ASSERT_TRUE(catalogue->PutRule(&rule_context, rule, &rule_response).ok());
  Eventually([&] { return Ids(RecommendTo("ann", 3)) == "i7 i1 i2"; }, "pinned and out of stock");
  v1::GetItemRequest get;
  get.set_item_id("i0");
  v1::GetItemResponse got;
  grpc::ClientContext get_context;
  ASSERT_TRUE(catalogue->GetItem(&get_context, get, &got).ok());
  EXPECT_EQ(got.item().stock(), 0);
  v1::ListRulesResponse rules;
  grpc::ClientContext rules_context;
  ASSERT_TRUE(catalogue->ListRules(&rules_context, {}, &rules).ok());
  ASSERT_EQ(rules.rules_size(), 1);

  // The next snapshot serves under the same changes.
  world_.WriteSnapshot(2, 10, 0, 0);
  world_.Activate(2);
  Eventually([&] { return RecommendTo("ann").freshness().generation() == 2; }, "generation 2");
  EXPECT_EQ(Ids(RecommendTo("ann", 3)), "i7 i1 i2");

  v1::DeleteRuleRequest remove;
  remove.set_rule_id("top");
  v1::DeleteRuleResponse removed;
  grpc::ClientContext remove_context;
  ASSERT_TRUE(catalogue->DeleteRule(&remove_context, remove, &removed).ok());
  v1::DeleteItemRequest drop;
  drop.set_item_id("i1");
  v1::DeleteItemResponse dropped;
  grpc::ClientContext drop_context;
  ASSERT_TRUE(catalogue->DeleteItem(&drop_context, drop, &dropped).ok());
  Eventually([&] { return Ids(RecommendTo("ann", 2)) == "i2 i3"; }, "rule and item deleted");
  get.set_item_id("i1");
  grpc::ClientContext gone_context;
  EXPECT_EQ(catalogue->GetItem(&gone_context, get, &got).error_code(), grpc::NOT_FOUND);
  item.mutable_item()->set_price(-1);
  grpc::ClientContext bad_context;
  EXPECT_THAT(catalogue->PutItem(&bad_context, item, &item_response).error_message(), StartsWith("price"));
}

TEST_F(ServingLayerTest, SimilarAndPopularItems) {
  world_.WriteSnapshot(1, 10, 0, 0);
  world_.Activate(1);
  StartReady();
  v1::SimilarItemsRequest similar;
  similar.add_item_ids("i3");
  similar.set_limit(1);
  v1::SimilarItemsResponse similar_response;
  grpc::ClientContext similar_context;
  ASSERT_TRUE(recommendations_->SimilarItems(&similar_context, similar, &similar_response).ok());
  ASSERT_EQ(similar_response.items_size(), 1);
  EXPECT_EQ(similar_response.items(0).item_id(), "i4");
  v1::PopularRequest popular;
  popular.set_category("toys");
  popular.set_limit(2);
  v1::PopularResponse popular_response;
  grpc::ClientContext popular_context;
  ASSERT_TRUE(recommendations_->Popular(&popular_context, popular, &popular_response).ok());
  ASSERT_EQ(popular_response.items_size(), 2);
  EXPECT_EQ(popular_response.items(0).item_id(), "i1");
  popular.set_category("nothing");
  grpc::ClientContext none_context;
  popular_response.Clear();
  ASSERT_TRUE(recommendations_->Popular(&none_context, popular, &popular_response).ok());
  EXPECT_THAT(popular_response.items(), IsEmpty());
  popular.set_segment("gold");
  grpc::ClientContext both_context;
  EXPECT_EQ(recommendations_->Popular(&both_context, popular, &popular_response).error_code(), grpc::INVALID_ARGUMENT);
  popular.clear_category();
  grpc::ClientContext segment_context;
  ASSERT_TRUE(recommendations_->Popular(&segment_context, popular, &popular_response).ok());
  ASSERT_EQ(popular_response.items_size(), 2);
  EXPECT_EQ(popular_response.items(0).item_id(), "i1");
  EXPECT_EQ(popular_response.items(0).reasons(0).source(), v1::SEGMENT_POPULAR);
}

TEST_F(ServingLayerTest, TheConfigurationIsShownWithoutSecrets) {
  (*world_.config.mutable_kafka()->mutable_client())["sasl.password"] = "hush";
  (*world_.config.mutable_kafka()->mutable_client())["client.id"] = "shop";
  world_.config.mutable_serving()->set_serve_without_snapshot(true);
  StartReady();
  v1::GetConfigResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(v1::AdminService::NewStub(channel_)->GetConfig(&context, {}, &response).ok());
  EXPECT_EQ(response.config().kafka().client().at("sasl.password"), "hidden");
  EXPECT_EQ(response.config().kafka().client().at("client.id"), "shop");
}

TEST_F(ServingLayerTest, AMissingDirectoryATakenAddressAndAnAbsentLogEachGiveOneLine) {
  v1::Config config = world_.config;
  config.mutable_storage()->set_snapshots_dir("/nowhere/at/all");
  EXPECT_THAT(ServingLayer::Start(config, world_.log, world_.clock, world_.metrics).status().message(),
              HasSubstr("/nowhere/at/all"));
  world_.config.mutable_serving()->set_serve_without_snapshot(true);
  StartReady();
  config = world_.config;
  config.mutable_serving()->set_listen_address(absl::StrCat("127.0.0.1:", serving_->port()));
  EXPECT_THAT(ServingLayer::Start(config, world_.log, world_.clock, world_.metrics).status().message(),
              HasSubstr(config.serving().listen_address()));
  world_.log.SetBrokerAway(true);
  EXPECT_EQ(ServingLayer::Start(world_.config, world_.log, world_.clock, world_.metrics).status().code(),
            absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace tributary::serving
