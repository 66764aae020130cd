#include "batch_layer/models/item_item.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "batch_layer/models/eigenbasis.h"
#include "batch_layer/models/inverse.h"
#include "tests/batch_layer/models/synthetic.h"

namespace tributary::batch {
namespace {

// A random matrix that is positive definite, its upper triangle.
Factors PositiveDefinite(uint32_t n) {
  const InteractionMatrix x = synthetic::Random(2 * n, n, 12, n);
  Factors matrix(n, static_cast<int>(n));
  for (uint32_t row = 0; row < x.rows(); ++row) {
    const SparseRows::Row values = x.by_row().row(row);
    for (size_t i = 0; i < values.size(); ++i) {
      for (size_t j = i; j < values.size(); ++j) {
        matrix.row(values.columns[i])[values.columns[j]] += values.weights[i] * values.weights[j];
      }
    }
  }
  for (uint32_t i = 0; i < n; ++i) {
    matrix.row(i)[i] += 5;
  }
  return matrix;
}

double At(const Factors& symmetric, uint32_t i, uint32_t j) { return symmetric.row(std::min(i, j))[std::max(i, j)]; }

TEST(InverseTest, TimesTheMatrixIsTheIdentityForAllSizesOfTheLastBlock) {
  for (const uint32_t n : {1u, 7u, 192u, 193u, 450u}) {
    const Factors matrix = PositiveDefinite(n);
    Factors inverse = matrix;
    InvertInPlace(&inverse, 2);
    Factors on_one = matrix;
    InvertInPlace(&on_one, 1);
    for (uint32_t i = 0; i < n; ++i) {
      for (uint32_t j = 0; j < n; ++j) {
        double sum = 0;
        for (uint32_t k = 0; k < n; ++k) {
          sum += At(matrix, i, k) * At(inverse, k, j);
        }
        ASSERT_NEAR(sum, i == j ? 1 : 0, 1e-3) << n << ": " << i << ", " << j;
        ASSERT_EQ(At(inverse, i, j), At(on_one, i, j));
      }
    }
  }
}

TEST(EaseTest, IsTheBestLinearMapOfUsersToThemselvesWithoutADiagonal) {
  const InteractionMatrix matrix = synthetic::Random(200, 30, 10, 1);
  const EaseOptions options{.regularization = 3, .links = 30, .threads = 2};
  const ItemItemModel model = TrainEase(matrix, options);
  // The derivative of |X - X B|^2 + l |B|^2 is 0 in every element but the diagonal: X'(X - X B) = l B there.
  std::vector<std::vector<double>> b(30, std::vector<double>(30)), x(200, std::vector<double>(30)), rest = x;
  for (uint32_t i = 0; i < 30; ++i) {
    const SparseRows::Row links = model.links.row(i);
    for (size_t l = 0; l < links.size(); ++l) {
      b[i][links.columns[l]] = links.weights[l];
    }
    EXPECT_EQ(b[i][i], 0);
  }
  for (uint32_t u = 0; u < 200; ++u) {
    for (const uint32_t item : matrix.by_row().row(u).columns) {
      x[u][item] = 1;
    }
    for (uint32_t j = 0; j < 30; ++j) {
      rest[u][j] = x[u][j];
      for (uint32_t i = 0; i < 30; ++i) {
        rest[u][j] -= x[u][i] * b[i][j];
      }
    }
  }
  for (uint32_t i = 0; i < 30; ++i) {
    for (uint32_t j = 0; j < 30; ++j) {
      double gradient = -options.regularization * b[i][j];
      for (uint32_t u = 0; u < 200; ++u) {
        gradient += x[u][i] * rest[u][j];
      }
      if (i != j) {
        EXPECT_NEAR(gradient, 0, 1e-3) << i << ", " << j;
      }
    }
  }
}

TEST(EaseTest, KeepsTheLargestOfARow) {
  const InteractionMatrix matrix = synthetic::Random(200, 30, 10, 2);
  const ItemItemModel all = TrainEase(matrix, {.regularization = 3, .links = 30});
  const ItemItemModel cut = TrainEase(matrix, {.regularization = 3, .links = 4});
  for (uint32_t i = 0; i < 30; ++i) {
    std::vector<float> sizes;
    for (const float weight : all.links.row(i).weights) {
      sizes.push_back(std::abs(weight));
    }
    std::sort(sizes.rbegin(), sizes.rend());
    ASSERT_EQ(cut.links.row(i).size(), 4u);
    for (const float weight : cut.links.row(i).weights) {
      EXPECT_GE(std::abs(weight), sizes[3]);
    }
  }
}

TEST(GfCfTest, IsTheFormulaWhenNothingIsCut) {
  constexpr uint32_t kUsers = 60, kItems = 25;
  const InteractionMatrix matrix = synthetic::Random(kUsers, kItems, 9, 3);
  const ItemItemModel model = TrainGfCf(matrix, {.dimensions = 6, .low_pass_weight = 0.3f, .links = kItems, .threads = 2});
  std::vector<std::vector<double>> gram(kItems, std::vector<double>(kItems));
  const auto root = [](size_t count) { return std::sqrt(static_cast<double>(count)); };
  for (uint32_t u = 0; u < kUsers; ++u) {
    const SparseRows::Row row = matrix.by_row().row(u);
    for (const uint32_t i : row.columns) {
      for (const uint32_t j : row.columns) {
        gram[i][j] += 1.0 / static_cast<double>(row.size()) / root(matrix.by_item().row(i).size()) /
                      root(matrix.by_item().row(j).size());
      }
    }
  }
  std::vector<std::vector<double>> projection(kItems, std::vector<double>(kItems));
  double trace = 0;
  for (uint32_t i = 0; i < kItems; ++i) {
    const SparseRows::Row links = model.links.row(i);
    for (size_t l = 0; l < links.size(); ++l) {
      EXPECT_NEAR(links.weights[l], gram[i][links.columns[l]], 1e-5);
    }
    for (uint32_t j = 0; j < kItems; ++j) {
      const auto from = model.from.row(i), to = model.to.row(j);
      projection[i][j] = std::inner_product(from.begin(), from.end(), to.begin(), 0.0) / 0.3 *
                         root(matrix.by_item().row(i).size()) / root(matrix.by_item().row(j).size());
    }
    trace += projection[i][i];
  }
  EXPECT_NEAR(trace, 6, 1e-3);
  // V V' is a projection, and holds as much of R'R as the leading singular vectors do.
  double energy = 0;
  for (uint32_t i = 0; i < kItems; ++i) {
    for (uint32_t j = 0; j < kItems; ++j) {
      double product = 0;
      for (uint32_t k = 0; k < kItems; ++k) {
        product += projection[i][k] * projection[k][j];
      }
      EXPECT_NEAR(product, projection[i][j], 1e-3);
      energy += projection[i][j] * gram[i][j];
    }
  }
  Factors root_of_gram(kUsers, kItems);   // R.
  for (uint32_t u = 0; u < kUsers; ++u) {
    const SparseRows::Row row = matrix.by_row().row(u);
    for (const uint32_t i : row.columns) {
      root_of_gram.row(u)[i] = static_cast<float>(1 / root(row.size()) / root(matrix.by_item().row(i).size()));
    }
  }
  const std::vector<float> eigenvalues = RotateIntoEigenbasis(&root_of_gram, 1);
  EXPECT_GT(energy, 0.97 * std::accumulate(eigenvalues.end() - 6, eigenvalues.end(), 0.0));
}

TEST(ItemItemTest, ThreadsChangeNoBit) {
  const InteractionMatrix matrix = synthetic::Random(700, 300, 30, 4);
  for (const bool ease : {true, false}) {
    const auto train = [&](int threads) {
      return ease ? TrainEase(matrix, {.links = 20, .threads = threads})
                  : TrainGfCf(matrix, {.dimensions = 32, .links = 20, .threads = threads});
    };
    const ItemItemModel one = train(1), three = train(3);
    EXPECT_TRUE(one.from == three.from);
    EXPECT_TRUE(one.to == three.to);
    for (uint32_t i = 0; i < 300; ++i) {
      EXPECT_EQ(one.links.row(i).columns, three.links.row(i).columns);
      EXPECT_EQ(one.links.row(i).weights, three.links.row(i).weights);
    }
  }
}

TEST(ItemItemTest, NothingUsedGivesNoLinks) {
  for (const auto& [rows, items] : {std::pair<uint32_t, uint32_t>{0, 0}, {3, 0}, {0, 3}, {3, 3}}) {
    const auto matrix = InteractionMatrix::Create(rows, items, {});
    EXPECT_EQ(TrainEase(*matrix, {}).links.entries(), 0u);
    const ItemItemModel model = TrainGfCf(*matrix, {});
    EXPECT_EQ(model.links.entries(), 0u);
    EXPECT_EQ(model.to.rows(), items);
  }
}

}  // namespace
}  // namespace tributary::batch
