#include "batch_layer/models/blend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "tests/batch_layer/models/synthetic.h"

namespace tributary::batch {
namespace {

class BlendTest : public testing::Test {
 protected:
  BlendTest() {
    auto model = TrainIals(matrix_, {.dimensions = 12, .epochs = 3});
    EXPECT_TRUE(model.ok());
    ials_ = *std::move(model);
  }

  // By the definition, in double.
  std::vector<double> Scores(const ItemItemModel& item_item, uint32_t user, double weight) const {
    const uint32_t items = matrix_.items();
    std::vector<double> ials(items), links(items), low_pass(items), scores(items);
    for (uint32_t j = 0; j < items; ++j) {
      ials[j] = Dot(ials_.users.row(user), ials_.items.row(j));
    }
    for (const uint32_t i : matrix_.by_row().row(user).columns) {
      const SparseRows::Row row = item_item.links.row(i);
      for (size_t l = 0; l < row.size(); ++l) {
        links[row.columns[l]] += row.weights[l];
      }
      for (uint32_t j = 0; j < items; ++j) {
        low_pass[j] += Dot(item_item.from.row(i), item_item.to.row(j));
      }
    }
    for (uint32_t j = 0; j < items; ++j) {
      scores[j] = weight * ials[j] / Deviation(ials) + (1 - weight) * (links[j] + low_pass[j]) / Deviation(links);
    }
    return scores;
  }
  static double Dot(absl::Span<const float> a, absl::Span<const float> b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
  }
  static double Deviation(const std::vector<double>& values) {
    const auto n = static_cast<double>(values.size());
    const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
    double squares = 0;
    for (const double value : values) {
      squares += (value - mean) * (value - mean);
    }
    return squares > 0 ? std::sqrt(squares / n) : 1;
  }

  const InteractionMatrix matrix_ = synthetic::Random(150, 90, 20, 1);
  IalsModel ials_;
};

TEST_F(BlendTest, ListsAreTheFormulasWithAndWithoutWhatTheUserHas) {
  for (const bool ease : {true, false}) {
    const ItemItemModel item_item =
        ease ? TrainEase(matrix_, {.regularization = 5}) : TrainGfCf(matrix_, {.dimensions = 7, .links = 10});
    const Blend blend(matrix_, ials_, item_item);
    std::vector<uint32_t> users(150);
    std::iota(users.begin(), users.end(), 0);
    for (const float weight : {0.0f, 0.6f, 1.0f}) {
      for (const bool exclude : {false, true}) {
        const auto lists = blend.TopN(users, weight, 10, exclude, 2);
        ASSERT_EQ(lists.size(), 150u);
        for (uint32_t user = 0; user < 150; ++user) {
          const std::vector<double> scores = Scores(item_item, user, weight);
          const auto own = matrix_.by_row().row(user).columns;
          ASSERT_EQ(lists[user].size(), 10u);
          double least = std::numeric_limits<double>::infinity();
          for (const ScoredItem& scored : lists[user]) {
            const double expected = scores[Value(scored.item)];
            ASSERT_NEAR(scored.score, std::max(0.0, expected), 1e-3) << "user " << user;
            ASSERT_LE(expected, least + 1e-3);
            least = std::min(least, expected);
            ASSERT_FALSE(exclude && std::binary_search(own.begin(), own.end(), Value(scored.item)));
          }
          size_t better = 0;
          for (uint32_t j = 0; j < 90; ++j) {
            better += scores[j] > least + 1e-3 && !(exclude && std::binary_search(own.begin(), own.end(), j));
          }
          ASSERT_LT(better, 10u) << "user " << user;
        }
      }
    }
  }
}

TEST_F(BlendTest, ThreadsAndCompanyChangeNoBit) {
  const ItemItemModel item_item = TrainGfCf(matrix_, {.dimensions = 7, .links = 10});
  const Blend blend(matrix_, ials_, item_item);
  std::vector<uint32_t> users(150);
  std::iota(users.begin(), users.end(), 0);
  const auto all = blend.TopN(users, 0.6f, 10, false, 1);
  EXPECT_EQ(blend.TopN(users, 0.6f, 10, false, 3), all);
  for (const uint32_t user : {0u, 13u, 149u}) {
    EXPECT_EQ(blend.TopN({user}, 0.6f, 10, false, 1)[0], all[user]);
  }
}

TEST(BlendOfLittleTest, OneUserAndOneItem) {
  const auto matrix = InteractionMatrix::Create(1, 1, {{0, 0}});
  const auto ials = TrainIals(*matrix, {.dimensions = 8});
  ASSERT_TRUE(ials.ok());
  const ItemItemModel item_item = TrainEase(*matrix, {});
  const auto lists = Blend(*matrix, *ials, item_item).TopN({0}, 0.6f, 5, false, 1);
  ASSERT_EQ(lists[0].size(), 1u);
  EXPECT_GT(lists[0][0].score, 0);
  EXPECT_TRUE(Blend(*matrix, *ials, item_item).TopN({0}, 0.6f, 5, true, 1)[0].empty());
}

}  // namespace
}  // namespace tributary::batch
