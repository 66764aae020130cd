#include "common/dense/compact_factors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "common/dense/dense.h"
#include "common/dense/top_items.h"

namespace tributary {
namespace {

using testing::ElementsAreArray;

// What Top must be, bit for bit.
std::vector<ScoredItem> OfAllRows(const Factors& rows, absl::Span<const float> vector, size_t n) {
  std::vector<float> scores(rows.rows());
  const auto d = static_cast<size_t>(rows.dimensions());
  dense::Best().inner_products(rows.data(), d, rows.rows(), d, vector.data(), scores.data());
  TopItems best(n);
  best.OfferAll(0, scores);
  return best.Take();
}

std::mt19937_64& Random() {
  static std::mt19937_64 random(5);
  return random;
}

// Rows and vector by the name of what is difficult about them.
Factors RowsOf(const std::string& kind, uint32_t count, int d) {
  std::normal_distribution<float> normal;
  Factors rows(count, d);
  for (uint32_t i = 0; i < count; ++i) {
    for (float& value : rows.row(i)) value = normal(Random());
    const absl::Span<float> row = rows.row(i);
    if (kind == "of all lengths") {
      const float length = std::pow(10.0f, 6 * normal(Random()));
      for (float& value : row) value *= length;
    } else if (kind == "with one great value") {
      row[Random()() % row.size()] = 1e4f * normal(Random());
    } else if (kind == "alike") {
      for (size_t c = 0; c < row.size(); ++c) row[c] = rows.row(0)[c] + (i % 3 == 0 ? 0 : 1e-6f * normal(Random()));
    } else if (kind == "the same") {
      for (size_t c = 0; c < row.size(); ++c) row[c] = rows.row(0)[c];
    } else if (kind == "nothing") {
      for (float& value : row) value = 0;
    } else if (kind == "of small numbers") {
      for (float& value : row) value *= 1e-39f;
    } else if (kind == "of great numbers") {
      for (float& value : row) value *= 1e17f;
    } else if (kind == "of numbers too great") {
      for (float& value : row) value *= 3e37f;
    } else if (kind == "some not finite") {
      if (i % 100 == 7) row[i % row.size()] = std::numeric_limits<float>::infinity();
      if (i % 100 == 8) row[i % row.size()] = std::numeric_limits<float>::quiet_NaN();
    } else if (kind == "sparse") {
      for (float& value : row) value *= Random()() % 8 == 0;
    }
  }
  return rows;
}

TEST(CompactFactorsTest, TheBestRowsAreThoseOfAFullPassBitForBit) {
  for (const dense::CompactKernels* kernels : CompactFactors::RunnableKernels()) {
    for (const std::string kind : {"random", "of all lengths", "with one great value", "alike", "the same", "nothing",
                                   "of small numbers", "of great numbers", "of numbers too great", "some not finite",
                                   "sparse"}) {
      for (const auto& [count, d] : {std::pair<uint32_t, int>{5'000, 64}, {4'096, 1}, {7'001, 37}, {4'500, 130}, {300, 16}}) {
        const Factors rows = RowsOf(kind, count, d);
        const CompactFactors compact(rows, *kernels);
        CompactFactors::Scratch scratch;
        for (const std::string of_vector : {"random", "with one great value", "nothing", "sparse", "of great numbers"}) {
          const Factors vector = RowsOf(of_vector, 1, d);
          for (const size_t n : {1, 10, 100}) {
            EXPECT_THAT(compact.Top(vector.row(0), n, &scratch), ElementsAreArray(OfAllRows(rows, vector.row(0), n)))
                << kernels->instruction_set << ": " << count << " rows " << kind << " of " << d << ", vector " << of_vector
                << ", best " << n;
          }
        }
      }
    }
  }
}

TEST(CompactFactorsTest, FewRowsOfMany) {
  // The bound is worth its name: of 20,000 random rows some more than the 100 best are computed.
  const Factors rows = RowsOf("random", 20'000, 64);
  const Factors vector = RowsOf("random", 1, 64);
  for (const dense::CompactKernels* kernels : CompactFactors::RunnableKernels()) {
    const CompactFactors compact(rows, *kernels);
    CompactFactors::Scratch scratch;
    compact.Top(vector.row(0), 100, &scratch);
    EXPECT_GE(scratch.candidates(), 100u) << kernels->instruction_set;
    EXPECT_LE(scratch.candidates(), 300u) << kernels->instruction_set;
  }
}

TEST(CompactFactorsTest, AnInfiniteVectorIsLeftToTheFullPass) {
  const Factors rows = RowsOf("random", 5'000, 8);
  const CompactFactors compact(rows);
  CompactFactors::Scratch scratch;
  for (const float value : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN(), 3e38f}) {
    const std::vector<float> vector(8, value);
    EXPECT_THAT(compact.Top(vector, 10, &scratch), ElementsAreArray(OfAllRows(rows, vector, 10)));
  }
}

}  // namespace
}  // namespace tributary
