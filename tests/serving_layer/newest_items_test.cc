#include "serving_layer/context/newest_items.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "absl/strings/str_cat.h"

namespace tributary::serving {
namespace {

using testing::ElementsAreArray;

TEST(NewestItemsTest, AfterAnyChangesTheyAreThoseOfTheWholeCatalogue) {
  std::mt19937_64 random(4);
  for (const int items : {5, 60, 300}) {
    std::shared_ptr<const Catalogue> catalogue = std::make_shared<const Catalogue>();
    NewestItems updated(20);
    for (int step = 0; step < 400; ++step) {
      CatalogueBuilder builder(*catalogue);
      std::vector<std::string> ids;
      for (uint64_t n = 0; n < 1 + random() % 12; ++n) {
        v1::Item item;
        item.set_item_id(absl::StrCat("item-", random() % static_cast<uint64_t>(items)));
        ids.push_back(item.item_id());
        if (random() % 3 == 0 || (step > 200 && step < 230)) {   // For a while nothing but deletions.
          builder.Delete(item.item_id());
          continue;
        }
        if (random() % 4 != 0) item.mutable_available_from()->set_seconds(static_cast<int64_t>(random() % 50));   // Many ties.
        builder.Put(item);
      }
      const std::shared_ptr<const Catalogue> next = std::move(builder).Build();
      std::vector<ItemNumber> changed;
      for (const std::string& id : ids) {
        if (const auto number = next->Find(id)) changed.push_back(*number);
      }
      updated.Update(*catalogue, *next, changed);
      NewestItems all(20);
      all.Rebuild(*next);
      ASSERT_THAT(updated.items(), ElementsAreArray(all.items())) << items << " items, step " << step;
      catalogue = next;
    }
  }
}

}  // namespace
}  // namespace tributary::serving
