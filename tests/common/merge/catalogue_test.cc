#include "common/merge/catalogue.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tributary {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

v1::Item ItemOf(const std::string& id, const std::vector<std::string>& categories = {},
                const std::vector<std::string>& labels = {}) {
  v1::Item item;
  item.set_item_id(id);
  for (const std::string& category : categories) {
    item.add_categories(category);
  }
  for (const std::string& label : labels) {
    item.add_labels(label);
  }
  return item;
}

std::vector<std::string> CategoryNames(const Catalogue& catalogue, const std::string& id) {
  std::vector<std::string> names;
  for (const CategoryNumber category : catalogue.Categories(catalogue.Find(id).value())) {
    names.emplace_back(catalogue.CategoryName(category));
  }
  return names;
}

std::vector<std::string> LabelNames(const Catalogue& catalogue, const std::string& id) {
  std::vector<std::string> names;
  for (const LabelNumber label : catalogue.Labels(catalogue.Find(id).value())) {
    names.emplace_back(catalogue.LabelName(label));
  }
  return names;
}

TEST(CatalogueTest, EmptyCatalogueFindsNothing) {
  const Catalogue catalogue;
  EXPECT_EQ(catalogue.size(), 0u);
  EXPECT_FALSE(catalogue.Find("a").has_value());
  EXPECT_FALSE(catalogue.FindCategory("a").has_value());
  EXPECT_FALSE(catalogue.FindLabel("a").has_value());
}

TEST(CatalogueTest, NumbersFollowTheOrderOfPut) {
  CatalogueBuilder builder;
  EXPECT_EQ(builder.Put(ItemOf("b")), ItemNumber{0});
  EXPECT_EQ(builder.Put(ItemOf("a")), ItemNumber{1});
  EXPECT_EQ(builder.Put(ItemOf("b")), ItemNumber{0});
  const auto catalogue = std::move(builder).Build();
  EXPECT_EQ(catalogue->size(), 2u);
  EXPECT_EQ(catalogue->Find("a"), ItemNumber{1});
  EXPECT_EQ(catalogue->Id(ItemNumber{0}), "b");
}

TEST(CatalogueTest, CategoriesKeepTheirOrderAndCountOnce) {
  CatalogueBuilder builder;
  builder.Put(ItemOf("few", {"lamp", "light", "lamp"}, {"red", "red", "sale"}));
  builder.Put(ItemOf("many", {"c1", "c2", "c3", "c4", "c5", "c6"}));
  builder.Put(ItemOf("none"));
  const auto catalogue = std::move(builder).Build();
  EXPECT_THAT(CategoryNames(*catalogue, "few"), ElementsAre("lamp", "light"));
  EXPECT_THAT(LabelNames(*catalogue, "few"), ElementsAre("red", "sale"));
  EXPECT_THAT(CategoryNames(*catalogue, "many"), ElementsAre("c1", "c2", "c3", "c4", "c5", "c6"));
  EXPECT_THAT(CategoryNames(*catalogue, "none"), IsEmpty());
}

struct AvailabilityCase {
  std::string name;
  void (*change)(v1::Item*);
  bool available;
};

class CatalogueAvailabilityTest : public ::testing::TestWithParam<AvailabilityCase> {};

TEST_P(CatalogueAvailabilityTest, AtTimeOneThousand) {
  v1::Item item = ItemOf("a");
  GetParam().change(&item);
  CatalogueBuilder builder;
  builder.Put(item);
  EXPECT_EQ(std::move(builder).Build()->IsAvailable(ItemNumber{0}, 1'000'000), GetParam().available);
}

INSTANTIATE_TEST_SUITE_P(
    All, CatalogueAvailabilityTest,
    ::testing::Values(
        AvailabilityCase{"Untracked", [](v1::Item*) {}, true},
        AvailabilityCase{"InStock", [](v1::Item* i) { i->set_stock(1); }, true},
        AvailabilityCase{"OutOfStock", [](v1::Item* i) { i->set_stock(0); }, false},
        AvailabilityCase{"OutOfStockButSoon",
                         [](v1::Item* i) {
                           i->set_stock(0);
                           i->mutable_lead_time()->set_seconds(86'400);
                         },
                         true},
        AvailabilityCase{"NotYet", [](v1::Item* i) { i->mutable_available_from()->set_seconds(1001); }, false},
        AvailabilityCase{"JustNow", [](v1::Item* i) { i->mutable_available_from()->set_seconds(1000); }, true},
        AvailabilityCase{"NoMore", [](v1::Item* i) { i->mutable_available_until()->set_seconds(1000); }, false},
        AvailabilityCase{"Still", [](v1::Item* i) { i->mutable_available_until()->set_seconds(1001); }, true}),
    [](const auto& test) { return test.param.name; });

TEST(CatalogueTest, ADeletedItemKeepsItsNumberAndComesBackWhenPut) {
  CatalogueBuilder first;
  first.Put(ItemOf("a"));
  first.Put(ItemOf("b"));
  first.Delete("a");
  first.Delete("never seen");
  const auto catalogue = std::move(first).Build();
  EXPECT_EQ(catalogue->size(), 2u);
  EXPECT_FALSE(catalogue->IsAvailable(ItemNumber{0}, 0));
  EXPECT_TRUE(catalogue->IsDeleted(ItemNumber{0}));

  CatalogueBuilder second(*catalogue);
  EXPECT_EQ(second.Put(ItemOf("a")), ItemNumber{0});
  EXPECT_TRUE(std::move(second).Build()->IsAvailable(ItemNumber{0}, 0));
}

TEST(CatalogueTest, PriceIsUnknownWhenUnset) {
  v1::Item item = ItemOf("a");
  CatalogueBuilder builder;
  builder.Put(item);
  item.set_item_id("b");
  item.set_price(2.5);
  builder.Put(item);
  const auto catalogue = std::move(builder).Build();
  EXPECT_FALSE(catalogue->Price(ItemNumber{0}).has_value());
  EXPECT_EQ(catalogue->Price(ItemNumber{1}), 2.5);
}

// Changes over many blocks leave every other version as it was.
TEST(CatalogueTest, AVersionIsNotChangedByTheNext) {
  constexpr int kItems = 2000;
  CatalogueBuilder builder;
  for (int i = 0; i < kItems; ++i) {
    builder.Put(ItemOf(absl::StrCat("item", i), {absl::StrCat("category", i % 7), "x1", "x2", "x3", "x4"},
                       {absl::StrCat("label", i % 5)}));
  }
  const auto before = std::move(builder).Build();
  CatalogueBuilder next(*before);
  for (int i = 0; i < kItems; i += 100) {
    next.Put(ItemOf(absl::StrCat("item", i), {"changed"}, {"fresh"}));
  }
  next.Delete("item1");
  for (int i = 0; i < 300; ++i) {
    next.Put(ItemOf(absl::StrCat("new", i), {absl::StrCat("new category", i)}));
  }
  const auto after = std::move(next).Build();

  EXPECT_EQ(before->size(), static_cast<uint32_t>(kItems));
  EXPECT_EQ(after->size(), static_cast<uint32_t>(kItems + 300));
  EXPECT_FALSE(before->Find("new0").has_value());
  EXPECT_EQ(after->Find("new299"), ItemNumber{kItems + 299});
  EXPECT_FALSE(before->FindCategory("new category7").has_value());
  EXPECT_TRUE(before->IsAvailable(ItemNumber{1}, 0));
  EXPECT_FALSE(after->IsAvailable(ItemNumber{1}, 0));
  for (int i = 0; i < kItems; ++i) {
    const std::string id = absl::StrCat("item", i);
    ASSERT_EQ(before->Find(id), after->Find(id));
    ASSERT_THAT(CategoryNames(*before, id), ElementsAre(absl::StrCat("category", i % 7), "x1", "x2", "x3", "x4"));
    ASSERT_THAT(LabelNames(*before, id), ElementsAre(absl::StrCat("label", i % 5)));
    if (i % 100 == 0) {
      ASSERT_THAT(CategoryNames(*after, id), ElementsAre("changed"));
      ASSERT_THAT(LabelNames(*after, id), ElementsAre("fresh"));
    } else {
      ASSERT_EQ(CategoryNames(*after, id), CategoryNames(*before, id));
      ASSERT_EQ(LabelNames(*after, id), LabelNames(*before, id));
    }
  }
}

TEST(CatalogueTest, NamesOutliveTheCatalogueTheyCameFrom) {
  std::shared_ptr<const Catalogue> catalogue = std::make_shared<Catalogue>();
  for (int i = 0; i < 1000; ++i) {
    CatalogueBuilder builder(*catalogue);
    builder.Put(ItemOf(absl::StrCat("a rather long item id, number ", i), {absl::StrCat("category ", i % 3)}));
    catalogue = std::move(builder).Build();
  }
  for (int i = 0; i < 1000; ++i) {
    const std::string id = absl::StrCat("a rather long item id, number ", i);
    ASSERT_EQ(catalogue->Find(id), ItemNumber{static_cast<uint32_t>(i)});
    ASSERT_EQ(catalogue->Id(ItemNumber{static_cast<uint32_t>(i)}), id);
  }
  EXPECT_EQ(catalogue->category_count(), 3u);
}

}  // namespace
}  // namespace tributary
