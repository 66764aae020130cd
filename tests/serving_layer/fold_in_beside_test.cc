// Users who have acted since W where folding them in is too dear for a request.
#include <set>
#include <string>

#include "tests/serving_layer/serving_layer_fixture.h"

namespace tributary::serving {
namespace {

class FoldInBesideTest : public ServingLayerTest {
 protected:
  FoldInBesideTest() {
    world_.factors = true;
    world_.config.mutable_serving()->set_fold_in_at_once_bytes(0);
    world_.WriteSnapshot(1, 10, 0, 0);
    world_.Activate(1);
  }

  // The user's facts as of `applied`, seen.
  void PutFacts(const std::string& user_id, int64_t applied, std::vector<v1::Fact> facts) {
    world_.PutView(0, user_id, world_.Position(applied), std::move(facts));
    world_.PutProgress(0, world_.Position(applied));
    AwaitApplied(0, applied);
  }
  v1::RecommendResponse AwaitFolded(const std::string& user_id) {
    v1::RecommendResponse response;
    Eventually([&] { return !Has(response = RecommendTo(user_id), v1::FOLD_IN_PENDING); }, "the folded list");
    return response;
  }
  static std::set<std::string> Personal(const v1::RecommendResponse& response) {
    std::set<std::string> ids;
    for (const v1::RecommendedItem& item : response.items()) {
      for (const v1::Reason& reason : item.reasons()) {
        if (reason.source() == v1::PERSONAL) ids.insert(item.item_id());
      }
    }
    return ids;
  }
};

TEST_F(FoldInBesideTest, TheStoredListIsServedAndSaysSoUntilTheFoldedOneIsThere) {
  StartReady();
  PutFacts("ann", 20, {world_.FactOf(v1::VIEW, "i9", 12)});
  const v1::RecommendResponse first = RecommendTo("ann");
  EXPECT_TRUE(Has(first, v1::FOLD_IN_PENDING));
  EXPECT_EQ(Personal(first).count("i0"), 1U);
  const v1::RecommendResponse folded = AwaitFolded("ann");
  EXPECT_NE(Ids(first), Ids(folded));
  const std::string metrics = world_.metrics.Text();
  EXPECT_THAT(metrics, testing::HasSubstr("tributary_serving_fold_ins_beside_total"));

  serving_.reset();
  world_.config.mutable_serving()->set_fold_in_at_once_bytes(1 << 20);
  StartReady();
  const v1::RecommendResponse at_once = RecommendTo("ann");
  EXPECT_FALSE(Has(at_once, v1::FOLD_IN_PENDING));
  EXPECT_EQ(Ids(at_once), Ids(folded));
}

TEST_F(FoldInBesideTest, WhoActsAgainIsServedTheListFoldedLastMeanwhile) {
  StartReady();
  PutFacts("eve", 20, {world_.FactOf(v1::VIEW, "i9", 12)});
  EXPECT_TRUE(Has(RecommendTo("eve"), v1::FOLD_IN_PENDING));
  const std::set<std::string> folded = Personal(AwaitFolded("eve"));
  EXPECT_FALSE(folded.empty());
  PutFacts("eve", 30, {world_.FactOf(v1::VIEW, "i9", 12), world_.FactOf(v1::VIEW, "i0", 22)});
  const v1::RecommendResponse again = RecommendTo("eve");
  EXPECT_TRUE(Has(again, v1::FOLD_IN_PENDING));
  EXPECT_EQ(Personal(again), folded);
  EXPECT_NE(Personal(AwaitFolded("eve")), folded);
}

TEST_F(FoldInBesideTest, NoListOfWhatWasForgottenIsServedMeanwhile) {
  StartReady();
  PutFacts("ann", 20, {world_.FactOf(v1::VIEW, "i9", 12)});
  EXPECT_FALSE(Personal(AwaitFolded("ann")).empty());
  world_.clock.Advance(absl::Seconds(1));
  const v1::Fact forget = world_.FactOf(v1::FORGET, "", 22);
  world_.clock.Advance(absl::Seconds(1));
  PutFacts("ann", 30, {forget, world_.FactOf(v1::VIEW, "i5", 23)});
  const v1::RecommendResponse forgotten = RecommendTo("ann");
  EXPECT_TRUE(Has(forgotten, v1::FOLD_IN_PENDING));
  EXPECT_TRUE(Personal(forgotten).empty());
  EXPECT_FALSE(Personal(AwaitFolded("ann")).empty());
  world_.clock.Advance(absl::Seconds(1));
  PutFacts("ann", 40, {world_.FactOf(v1::FORGET, "", 32)});
  const v1::RecommendResponse nothing = RecommendTo("ann");
  EXPECT_FALSE(Has(nothing, v1::FOLD_IN_PENDING)) << "there is nothing to fold in";
  EXPECT_TRUE(Personal(nothing).empty());
}

TEST_F(FoldInBesideTest, AReplayOfThePastWaitsForItsList) {
  StartReady();
  PutFacts("ann", 20, {world_.FactOf(v1::VIEW, "i9", 12)});
  v1::RecommendRequest request;
  request.set_user_id("ann");
  request.mutable_as_of_time()->set_seconds(absl::ToUnixSeconds(world_.clock.Now()));
  v1::RecommendResponse past;
  ASSERT_TRUE(Recommend(request, &past).ok());
  EXPECT_FALSE(Has(past, v1::FOLD_IN_PENDING));
  EXPECT_EQ(Ids(past), Ids(AwaitFolded("ann")));
}

}  // namespace
}  // namespace tributary::serving
