#include "common/dense/dense.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

namespace tributary::dense {
namespace {

using Values = std::vector<float>;

Values Random(size_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  Values values(count);
  for (float& value : values) {
    value = static_cast<float>(static_cast<int64_t>(random() % 2001) - 1000) / 1000;
  }
  return values;
}

// Every instruction set of this machine against plain loops in double.
class KernelsTest : public testing::TestWithParam<const Kernels*> {
 protected:
  const Kernels& kernels() const { return *GetParam(); }
};

TEST_P(KernelsTest, ProductsOfAllShapesAndBothLayouts) {
  for (const size_t depth : {1, 7, 64, 300}) {
    for (const size_t rows : {1, 5, 6, 13, 29}) {
      const size_t columns = 75;
      const Values a = Random(rows * depth, 1), b = Random(columns * depth, 2);
      Values transposed(depth * columns);
      for (size_t n = 0; n < columns; ++n) {
        for (size_t r = 0; r < depth; ++r) {
          transposed[r * columns + n] = b[n * depth + r];
        }
      }
      const RightSide by_column = RightSide::FromColumns(b.data(), depth, depth, columns, kernels());
      const RightSide by_row = RightSide::FromRows(transposed.data(), columns, depth, columns, kernels());
      for (const RightSide* side : {&by_column, &by_row}) {
        Values c(rows * columns, -1);
        side->Multiply(a.data(), depth, rows, 0, 32, c.data(), columns);
        side->Multiply(a.data(), depth, rows, 32, columns, c.data() + 32, columns);
        for (size_t m = 0; m < rows; ++m) {
          for (size_t n = 0; n < columns; ++n) {
            double sum = 0;
            for (size_t r = 0; r < depth; ++r) {
              sum += double{a[m * depth + r]} * b[n * depth + r];
            }
            ASSERT_NEAR(c[m * columns + n], sum, 1e-4) << rows << " x " << depth << ", element " << m << ", " << n;
          }
        }
      }
    }
  }
}

TEST_P(KernelsTest, AnElementDoesNotDependOnWhatIsComputedWithIt) {
  constexpr size_t kRows = 31, kDepth = 70, kColumns = 90;
  const Values a = Random(kRows * kDepth, 3), b = Random(kColumns * kDepth, 4);
  const RightSide side = RightSide::FromColumns(b.data(), kDepth, kDepth, kColumns, kernels());
  Values whole(kRows * kColumns), piece(kColumns);
  side.Multiply(a.data(), kDepth, kRows, 0, kColumns, whole.data(), kColumns);
  for (size_t m = 0; m < kRows; ++m) {
    side.Multiply(a.data() + m * kDepth, kDepth, 1, 64, kColumns, piece.data(), kColumns);
    EXPECT_TRUE(std::equal(whole.begin() + m * kColumns + 64, whole.begin() + (m + 1) * kColumns, piece.begin()));
  }
}

TEST_P(KernelsTest, GramSums) {
  for (const size_t columns : {1, 8, 33, 100}) {
    for (const size_t rows : {1, 3, 256, 600}) {
      const Values r = Random(rows * columns, 5);
      Values c(columns * columns, 1);
      GramSum().Add(r.data(), columns, rows, columns, c.data(), columns, kernels());
      for (size_t m = 0; m < columns; ++m) {
        for (size_t n = m; n < columns; ++n) {
          double sum = 1;
          for (size_t i = 0; i < rows; ++i) {
            sum += double{r[i * columns + m]} * r[i * columns + n];
          }
          ASSERT_NEAR(c[m * columns + n], sum, 1e-3) << m << ", " << n;
        }
      }
    }
  }
}

TEST_P(KernelsTest, OuterGramsAndTheirCholeskySolutions) {
  for (const size_t columns : {3, 16, 130, 700}) {
    for (const size_t rows : {1, 2, 4, 11, 16, 17, 40, 97}) {
      const Values z = Random(rows * columns, 6), b = Random(rows, 7);
      const size_t ld = PaddedRow(rows);
      Values system((rows + 1) * ld);
      kernels().outer_gram(z.data(), columns, rows, columns, system.data(), ld, 1);
      std::vector<double> plain(rows * rows);
      for (size_t m = 0; m < rows; ++m) {
        for (size_t n = m; n < rows; ++n) {
          double sum = 0;
          for (size_t i = 0; i < columns; ++i) {
            sum += double{z[m * columns + i]} * z[n * columns + i];
          }
          ASSERT_NEAR(system[m * ld + n], sum, 1e-3) << rows << " x " << columns << ", element " << m << ", " << n;
          plain[m * rows + n] = plain[n * rows + m] = sum + (m == n ? 1 : 0);
        }
        system[m * ld + m] += 1;
      }
      Values solution = b;
      kernels().cholesky_solve(system.data(), ld, rows, solution.data());
      for (size_t m = 0; m < rows; ++m) {
        double sum = 0;
        for (size_t n = 0; n < rows; ++n) {
          sum += plain[m * rows + n] * solution[n];
        }
        ASSERT_NEAR(sum, b[m], 1e-3) << rows << " x " << columns << ", row " << m;
      }
    }
  }
}

// Alone or beside others, with rows of the identity behind it or without: a system gets the same solution, bit for bit.
TEST_P(KernelsTest, SystemsSideBySideAreSolvedAsAlone) {
  constexpr size_t kColumns = 37;
  const size_t lanes = kernels().lanes;
  const auto place = [&](size_t rows, size_t n, size_t lane, Values& systems) {
    const Values z = Random(rows * kColumns, 12 + lane), b = Random(rows, 40 + lane);
    kernels().outer_gram(z.data(), kColumns, rows, kColumns, systems.data() + lane, (n + 1) * lanes, lanes);
    for (size_t i = 0; i < n; ++i) {
      systems[(i * (n + 1) + i) * lanes + lane] += 1;
      systems[(i * (n + 1) + n) * lanes + lane] = i < rows ? b[i] : 0;
    }
  };
  for (const size_t n : {1, 2, 9, 24, 63}) {
    Values together(n * (n + 1) * lanes);
    for (size_t lane = 0; lane < lanes; ++lane) {
      place(1 + (n - 1 + lane) % n, n, lane, together);
    }
    kernels().cholesky_solve_lanes(together.data(), n);
    for (size_t lane = 0; lane < lanes; ++lane) {
      const size_t rows = 1 + (n - 1 + lane) % n;
      Values alone(rows * (rows + 1) * lanes);
      for (size_t other = 0; other < lanes; ++other) {
        for (size_t i = 0; i < rows; ++i) {
          alone[(i * (rows + 1) + i) * lanes + other] = other == lane ? 0 : 1;
        }
      }
      place(rows, rows, lane, alone);
      kernels().cholesky_solve_lanes(alone.data(), rows);
      const Values z = Random(rows * kColumns, 12 + lane), b = Random(rows, 40 + lane);
      for (size_t m = 0; m < rows; ++m) {
        const float solution = together[(m * (n + 1) + n) * lanes + lane];
        EXPECT_EQ(solution, alone[(m * (rows + 1) + rows) * lanes + lane]) << n << " rows, system " << lane;
        double sum = solution;
        for (size_t o = 0; o < rows; ++o) {
          for (size_t i = 0; i < kColumns; ++i) {
            sum += double{z[m * kColumns + i]} * z[o * kColumns + i] * together[(o * (n + 1) + n) * lanes + lane];
          }
        }
        EXPECT_NEAR(sum, b[m], 1e-3) << n << " rows, system " << lane << ", row " << m;
      }
    }
  }
}

TEST_P(KernelsTest, RowsScaleAndAddUp) {
  for (const size_t columns : {1, 15, 16, 37, 300}) {
    const size_t rows = 7;
    const Values z = Random(rows * columns, 8), weights = Random(rows, 9), scale = Random(columns, 10);
    const std::vector<uint32_t> places = {4, 1, 6};
    Values placed(columns);
    kernels().weighted_sum(z.data(), columns, places.data(), places.size(), columns, weights.data(), placed.data());
    Values sum(columns, 0.5f), scaled(columns), roots(columns);
    kernels().weighted_sum(z.data(), columns, nullptr, rows, columns, weights.data(), sum.data());
    kernels().scale_row(z.data(), scale.data(), 3, columns, scaled.data());
    kernels().inverse_root(scale.data(), 2, columns, roots.data());
    Values products(rows);
    kernels().inner_products(z.data(), columns, rows, columns, scale.data(), products.data());
    for (size_t m = 0; m < rows; ++m) {
      double product = 0;
      for (size_t i = 0; i < columns; ++i) {
        product += double{z[m * columns + i]} * scale[i];
      }
      EXPECT_NEAR(products[m], product, 1e-4) << columns << " columns, row " << m;
    }
    for (size_t i = 0; i < columns; ++i) {
      double plain = 0.5;
      for (size_t m = 0; m < rows; ++m) {
        plain += double{weights[m]} * z[m * columns + i];
      }
      EXPECT_NEAR(sum[i], plain, 1e-5);
      EXPECT_NEAR(placed[i], weights[0] * z[4 * columns + i] + weights[1] * z[columns + i] + weights[2] * z[6 * columns + i],
                  1e-6);
      EXPECT_NEAR(scaled[i], 3 * z[i] * scale[i], 1e-6);
      EXPECT_NEAR(roots[i], 1 / std::sqrt(scale[i] + 2), 1e-6);
    }
  }
}

TEST_P(KernelsTest, FindsAllThatAreAtLeastTheBound) {
  for (const size_t n : {0, 1, 63, 64, 500}) {
    Values scores = Random(n, 11);
    if (n > 2) {
      scores[1] = std::numeric_limits<float>::quiet_NaN();
      scores[2] = 0.9f;
    }
    for (const float least : {-2.0f, 0.0f, 0.9f, 0.999f}) {
      std::vector<uint32_t> expected;
      for (uint32_t i = 0; i < n; ++i) {
        if (scores[i] >= least) {
          expected.push_back(i);
        }
      }
      std::vector<uint32_t> places(n);
      places.resize(kernels().find_at_least(scores.data(), n, least, places.data()));
      EXPECT_EQ(places, expected) << n << " scores, least " << least;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(OfThisMachine, KernelsTest, testing::ValuesIn(Runnable()), [](const auto& set) {
  std::string name = set.param->instruction_set;
  std::replace_if(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
});

}  // namespace
}  // namespace tributary::dense
