#ifndef TRIBUTARY_COMMON_DENSE_COMPACT_FACTORS_H_
#define TRIBUTARY_COMMON_DENSE_COMPACT_FACTORS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/dense/compact_kernels.h"
#include "common/dense/factors.h"
#include "common/ids/ids.h"

namespace tributary {

// The rows of a matrix that have the greatest inner products with a vector, by a copy of a byte a value: a quarter of the
// memory is looked at, and only what may be among the best is then computed from the rows themselves. The result is that
// of all rows, bit for bit.
//
// With row x = s q + e (q whole numbers up to 127, s a scale of the row) and vector u = t v + f likewise,
//   |<x, u> - s t <q, v>| <= |s q| |f| + |e| |u|
// by Cauchy and Schwarz; to this comes what fp32 may be off, (d + 2) 2^-23 |x| |u| for the inner product of d values in
// whatever order, and 2^-20 of both for the bound's own arithmetic. If n products are at least a number, then what is at
// most less than that is not among the n best.
// Cost:    d bytes a row and 12 more, beside 4 d of the rows; making it, some 150 ns a row at d = 64.
// Threads: immutable; each thread needs its own Scratch.
class CompactFactors {
 public:
  class Scratch {
   public:
    // Rows that the last Top computed.
    size_t candidates() const { return candidates_; }

   private:
    friend class CompactFactors;
    size_t candidates_ = 0;
    std::vector<int32_t> quads_;
    std::vector<float> upper_, maxima_, rows_, scores_;
    std::vector<uint32_t> places_;
  };

  // Borrows what `rows` shows.
  explicit CompactFactors(FactorsView rows, const dense::CompactKernels& kernels = BestKernels());

  // The n rows (n >= 1) with the best inner products as dense::Kernels::inner_products gives them, best first, ties by
  // smaller row. What is not finite is passed over. Where the bytes say little (few rows, many that may be among the best,
  // numbers that are too large to bound) all rows are computed.
  std::vector<ScoredItem> Top(absl::Span<const float> vector, size_t n, Scratch* scratch) const;

  int64_t bytes() const;

  static const dense::CompactKernels& BestKernels();
  // All that this machine can run, for tests.
  static std::vector<const dense::CompactKernels*> RunnableKernels();

 private:
  // Rows, ascending, that hold the n best. False: all are to be looked at.
  bool FindCandidates(absl::Span<const float> vector, size_t n, Scratch* scratch) const;

  const FactorsView rows_;
  const size_t columns_;
  const dense::CompactKernels* kernels_;
  double longest_ = 0;  // Of the rows; infinite: not all values are finite.
  std::vector<uint8_t> values_;
  std::vector<float> scales_, lengths_, errors_;
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_DENSE_COMPACT_FACTORS_H_
