#ifndef TRIBUTARY_COMMON_DENSE_FACTORS_H_
#define TRIBUTARY_COMMON_DENSE_FACTORS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace tributary {

// A dense matrix, one row a user or an item, row after row.
class Factors {
 public:
  Factors() = default;
  Factors(uint32_t rows, int dimensions)
      : rows_(rows), dimensions_(dimensions), values_(size_t{rows} * static_cast<size_t>(dimensions)) {}

  uint32_t rows() const { return rows_; }
  int dimensions() const { return dimensions_; }
  float* data() { return values_.data(); }
  const float* data() const { return values_.data(); }
  absl::Span<float> row(uint32_t i) { return absl::MakeSpan(data() + Begin(i), static_cast<size_t>(dimensions_)); }
  absl::Span<const float> row(uint32_t i) const {
    return absl::MakeConstSpan(data() + Begin(i), static_cast<size_t>(dimensions_));
  }
  friend bool operator==(const Factors&, const Factors&) = default;

 private:
  size_t Begin(uint32_t i) const { return size_t{i} * static_cast<size_t>(dimensions_); }

  uint32_t rows_ = 0;
  int dimensions_ = 0;
  std::vector<float> values_;
};

// The same, of somebody else's memory.
class FactorsView {
 public:
  FactorsView() = default;
  FactorsView(const float* data, uint32_t rows, int dimensions) : data_(data), rows_(rows), dimensions_(dimensions) {}
  FactorsView(const Factors& factors) : FactorsView(factors.data(), factors.rows(), factors.dimensions()) {}  // NOLINT

  uint32_t rows() const { return rows_; }
  int dimensions() const { return dimensions_; }
  const float* data() const { return data_; }
  absl::Span<const float> row(uint32_t i) const {
    const auto d = static_cast<size_t>(dimensions_);
    return absl::MakeConstSpan(data_ + i * d, d);
  }

 private:
  const float* data_ = nullptr;
  uint32_t rows_ = 0;
  int dimensions_ = 0;
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_DENSE_FACTORS_H_
