#include "batch_layer/import/catalogue_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace tributary::batch {
namespace {

using testing::ElementsAre;

HeadNouns SampleNouns() {
  auto nouns = HeadNouns::Load(std::string(TRIBUTARY_SOURCE_DIR) + "/deploy/sample_data/head_nouns.txt");
  EXPECT_TRUE(nouns.ok()) << nouns.status();
  return *std::move(nouns);
}

// The table of deploy/sample_data/README.md.
TEST(HeadNounsTest, TheDocumentedExamples) {
  const HeadNouns nouns = SampleNouns();
  const std::vector<std::pair<std::string, std::string>> table = {
      {"WHITE HANGING HEART T-LIGHT HOLDER", "holder"},
      {"JUMBO BAG RED RETROSPOT", "bag"},
      {"LUNCH BAG RED RETROSPOT", "lunch_bag"},
      {"PACK OF 72 RETROSPOT CAKE CASES", "cake_case"},
      {"SET 7 BABUSHKA NESTING BOXES", "box"},
      {"PLASTERS IN TIN CIRCUS PARADE", "plaster"},
      {"SET OF 12 MINI BUNNIES IN A BUCKET", "animal_figure"},
      {"HEART OF WICKER SMALL", "heart"},
      {"KNITTED UNION FLAG HOT WATER BOTTLE", "hot_water_bottle"},
      {"POPPY'S PLAYHOUSE BEDROOM", "toy"},
      {"INFLATABLE POLITICAL GLOBE", ""},
      {"", ""},
  };
  for (const auto& [title, category] : table) {
    EXPECT_EQ(nouns.CategoryOf(title), category) << title;
  }
}

TEST(HeadNounsTest, MalformedListsAreRefusedWithTheirLine) {
  EXPECT_EQ(HeadNouns::Parse("strong bag BAG\nnoun x Y\n").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(HeadNouns::Parse("strong bag\n").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(HeadNouns::Parse("strong bag BAG\nweak box BAG\n").status().message()), testing::HasSubstr("line=2"));
}

TEST(CatalogueBuilderTest, MostFrequentTitleLowerMedianPriceCategoryAndLabels) {
  v1::CatalogueMapping mapping;
  mapping.mutable_title()->set_text("{t}");
  mapping.mutable_head_noun()->set_otherwise("other");
  mapping.set_labels_from_title(true);
  CatalogueBuilder builder(mapping, SampleNouns());
  builder.Add({"b", " RED   BAG ", "", 4.0});
  builder.Add({"b", "RED BAG", "", 1.0});
  builder.Add({"b", "BLUE BAG", "", 3.0});
  builder.Add({"b", "", "", 2.0});
  builder.Add({"a", "GLOBE", "", std::nullopt});
  builder.Add({"untitled", "", "", 1.0});
  builder.Add({"", "NO ITEM", "", 1.0});
  builder.Add({"bad", "\xff", "", 1.0});
  const std::vector<v1::Item> items = builder.Build();
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[0].item_id(), "a");
  EXPECT_THAT(items[0].categories(), ElementsAre("other"));
  EXPECT_FALSE(items[0].has_price());
  EXPECT_EQ(items[1].title(), "RED BAG");
  EXPECT_THAT(items[1].categories(), ElementsAre("bag"));
  EXPECT_THAT(items[1].labels(), ElementsAre("bag", "red"));
  EXPECT_EQ(items[1].price(), 2.0);
}

TEST(CatalogueBuilderTest, EquallyFrequentTitlesGiveTheSmallerAndTheOrderOfRowsDoesNotMatter) {
  v1::CatalogueMapping mapping;
  for (const bool swapped : {false, true}) {
    CatalogueBuilder builder(mapping, std::nullopt);
    builder.Add({"a", swapped ? "B" : "A", "", std::nullopt});
    builder.Add({"a", swapped ? "A" : "B", "", std::nullopt});
    EXPECT_EQ(builder.Build()[0].title(), "A");
  }
}

}  // namespace
}  // namespace tributary::batch
