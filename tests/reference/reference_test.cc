#include "tests/reference/reference.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

// The reference is believed because it is plain; these few stories say that it means what the design says.
namespace tributary::reference {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int64_t kNow = 1700000000000;
constexpr int64_t kDay = 24LL * 3600 * 1000;
constexpr int64_t kAlways = 4 * kNow;

RawRecord Record(int64_t offset, v1::EventType type, int64_t time, const std::string& id = "",
                 int64_t append_time = kNow, int32_t partition = 0) {
  v1::Event event;
  event.set_user_id("ann");
  event.set_type(type);
  event.set_item_id("tea");
  event.mutable_event_time()->set_seconds(time / 1000);
  event.set_event_id(id);
  return {partition, offset, append_time, event.SerializeAsString()};
}

TEST(ReferenceTest, AReturnAfterThePurchaseTakesItBackWhateverCameFirst) {
  const Reference reference({Record(0, v1::RETURN, kNow - 1000), Record(1, v1::PURCHASE, kNow - 2000)});
  EXPECT_THAT(reference.Bought("ann", kAlways), IsEmpty());
  EXPECT_THAT(reference.Bought("ann", kNow - 1500), ElementsAre("tea")) << "between the two it was bought";
  EXPECT_THAT(reference.Bought("ann", kNow - 2500), IsEmpty());
}

TEST(ReferenceTest, TheLatestOpinionHolds) {
  EXPECT_THAT(Reference({Record(0, v1::LIKE, kNow), Record(1, v1::DISLIKE, kNow)}).Disliked("ann", kAlways),
              ElementsAre("tea"));
  EXPECT_THAT(Reference({Record(0, v1::DISLIKE, kNow), Record(1, v1::LIKE, kNow)}).Disliked("ann", kAlways), IsEmpty());
  EXPECT_THAT(
      Reference({Record(7, v1::DISLIKE, kNow, "", kNow, -1), Record(0, v1::LIKE, kNow)}).Disliked("ann", kAlways),
      IsEmpty())
      << "imports sort first";
}

TEST(ReferenceTest, ForgetHidesBothSidesOfItself) {
  const Reference reference({Record(0, v1::PURCHASE, kNow - 5000), Record(1, v1::FORGET, kNow - 4000),
                             Record(2, v1::PURCHASE, kNow - 4000), Record(3, v1::VIEW, kNow - 3000)});
  EXPECT_EQ(reference.ForgottenUntil("ann"), kNow - 4000);
  ASSERT_EQ(reference.Facts("ann").size(), 1u);
  EXPECT_EQ(reference.Facts("ann")[0].kind, v1::VIEW);
  EXPECT_EQ(reference.AllTotals().at({v1::OVERALL, "", v1::PURCHASE}).events, 2) << "counts stay";
}

TEST(ReferenceTest, ARepeatIsADuplicateForADayOfRecordTimeOnItsPartition) {
  const Reference reference({Record(0, v1::VIEW, kNow, "e"), Record(1, v1::VIEW, kNow, "e", kNow + kDay),
                             Record(2, v1::VIEW, kNow, "e", kNow + kDay + 1), Record(0, v1::VIEW, kNow, "e", kNow, 1)});
  EXPECT_EQ(reference.VerdictOf({0, 0}), Verdict::kAccepted);
  EXPECT_EQ(reference.VerdictOf({0, 1}), Verdict::kDuplicate);
  EXPECT_EQ(reference.VerdictOf({0, 2}), Verdict::kAccepted);
  EXPECT_EQ(reference.VerdictOf({1, 0}), Verdict::kAccepted);
}

TEST(ReferenceTest, RecordTimeIsTheRunningMaximum) {
  const Reference reference({Record(0, v1::VIEW, kNow), Record(1, v1::VIEW, kNow + kDay, "", kNow - 1000),
                             Record(2, v1::VIEW, kNow + kDay + 1000, "", kNow - 1000)});
  EXPECT_EQ(reference.VerdictOf({0, 1}), Verdict::kAccepted);
  EXPECT_EQ(reference.VerdictOf({0, 2}), Verdict::kRejected);
}

}  // namespace
}  // namespace tributary::reference
