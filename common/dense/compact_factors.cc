#include "common/dense/compact_factors.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "common/dense/dense.h"
#include "common/dense/top_items.h"

namespace tributary {

namespace dense {
#if defined(__x86_64__)
extern const CompactKernels kCompactVnni;
extern const CompactKernels kCompactAvx2;
#endif
extern const CompactKernels kCompactBaseline;
}  // namespace dense

namespace {

using dense::kCompactBlock;
using dense::kCompactChunk;

constexpr int kMost = 127;                  // Of a row's bytes, before 128 is added.
constexpr double kLongest = 1e18;           // Of rows and vectors: no product overflows.
constexpr double kOwnError = 1.0 / (1 << 20);
constexpr size_t kMostCandidates = 4;       // One of so many rows; with more of them a full pass is as quick.
constexpr size_t kFewestMaxima = 2;         // Times n.
constexpr uint32_t kFewestRows = 2048;
constexpr size_t kMostColumns = 1 << 16;    // Sums of products fit 32 bits.

float RoundedUp(double value) {
  return std::nextafter(static_cast<float>(value), std::numeric_limits<float>::infinity());
}

double LengthOf(absl::Span<const float> values) {
  double squares = 0;
  for (const float value : values) {
    squares += double{value} * value;
  }
  return std::sqrt(squares) * (1 + kOwnError);
}

// Values as whole numbers times the result.
template <typename Byte>
float Quantize(absl::Span<const float> values, int most, Byte set) {
  float greatest = 0;
  for (const float value : values) {
    greatest = std::max(greatest, std::abs(value));
  }
  const float scale = greatest / static_cast<float>(most);
  const float inverse = scale > 0 && std::isfinite(1 / scale) ? 1 / scale : 0;
  for (size_t i = 0; i < values.size(); ++i) {
    set(i, std::clamp(static_cast<int>(std::lrintf(values[i] * inverse)), -most, most));
  }
  return scale;
}

}  // namespace

std::vector<const dense::CompactKernels*> CompactFactors::RunnableKernels() {
  std::vector<const dense::CompactKernels*> runnable;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512vnni")) {
    runnable.push_back(&dense::kCompactVnni);
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    runnable.push_back(&dense::kCompactAvx2);
  }
#endif
  runnable.push_back(&dense::kCompactBaseline);
  return runnable;
}

const dense::CompactKernels& CompactFactors::BestKernels() {
  static const dense::CompactKernels& best = *RunnableKernels().front();
  return best;
}

CompactFactors::CompactFactors(FactorsView rows, const dense::CompactKernels& kernels)
    : rows_(rows), columns_(static_cast<size_t>(rows.dimensions())), kernels_(&kernels) {
  if (rows.rows() < kFewestRows || columns_ > kMostColumns) {
    return;
  }
  const size_t filled = (rows.rows() + kCompactChunk - 1) / kCompactChunk * kCompactChunk;
  const size_t quads = (columns_ + 3) / 4;
  values_.assign(filled * quads * 4, 128);
  scales_.resize(filled);
  lengths_.resize(filled);
  errors_.resize(filled);
  for (uint32_t i = 0; i < rows.rows(); ++i) {
    const absl::Span<const float> row = rows.row(i);
    const double length = LengthOf(row);
    longest_ = std::max(longest_, std::isfinite(length) ? length : std::numeric_limits<double>::infinity());
    if (longest_ > kLongest) {
      return;  // FindCandidates gives up.
    }
    uint8_t* const bytes = values_.data() + i / kCompactBlock * (quads * 4 * kCompactBlock) + i % kCompactBlock * 4;
    const float scale = Quantize(row, kMost, [&](size_t c, int value) {
      bytes[c / 4 * (4 * kCompactBlock) + c % 4] = static_cast<uint8_t>(value + 128);
    });
    double squares = 0, left_out = 0;
    for (size_t c = 0; c < columns_; ++c) {
      const double said = double{scale} * (int{bytes[c / 4 * (4 * kCompactBlock) + c % 4]} - 128);
      squares += said * said;
      left_out += (row[c] - said) * (row[c] - said);
    }
    scales_[i] = scale;
    lengths_[i] = RoundedUp(std::sqrt(squares) * (1 + kOwnError));
    errors_[i] = RoundedUp(std::sqrt(left_out) * (1 + kOwnError));
  }
}

bool CompactFactors::FindCandidates(absl::Span<const float> vector, size_t n, Scratch* scratch) const {
  const size_t chunks = (rows_.rows() + kCompactChunk - 1) / kCompactChunk;
  const size_t whole_chunks = rows_.rows() / kCompactChunk;  // The last has rows that are not there among its maxima.
  const double length = LengthOf(vector);
  if (values_.empty() || whole_chunks * kCompactBlock < kFewestMaxima * n || !(longest_ <= kLongest) ||
      !(length <= kLongest)) {
    return false;
  }
  const size_t quads = (columns_ + 3) / 4;
  scratch->quads_.assign(quads, 0);
  int32_t sum = 0;
  auto* const bytes = reinterpret_cast<int8_t*>(scratch->quads_.data());
  const float scale = Quantize(vector, kernels_->most, [&](size_t c, int value) {
    bytes[c] = static_cast<int8_t>(value);
    sum += value;
  });
  double left_out = 0;
  for (size_t c = 0; c < columns_; ++c) {
    const double error = vector[c] - double{scale} * bytes[c];
    left_out += error * error;
  }
  const double error = std::sqrt(left_out) * (1 + kOwnError);
  const double fp32 = std::ldexp(static_cast<double>(columns_ + 2), -23);
  scratch->upper_.resize(chunks * kCompactChunk);
  scratch->maxima_.resize(chunks * kCompactBlock);
  kernels_->bounds({values_.data(), quads, scales_.data(), lengths_.data(), errors_.data()}, 0, chunks,
                   {.quads = scratch->quads_.data(),
                    .offset = 128 * sum,
                    .scale = scale,
                    .length_factor = RoundedUp((error + (fp32 + kOwnError) * (length + error)) * (1 + kOwnError)),
                    .error_factor = RoundedUp(length * (1 + fp32) * (1 + kOwnError)),
                    .least_error = std::numeric_limits<float>::min()},
                   scratch->upper_.data(), scratch->maxima_.data());
  const auto end = scratch->maxima_.begin() + static_cast<std::ptrdiff_t>(whole_chunks * kCompactBlock);
  const auto nth = scratch->maxima_.begin() + static_cast<std::ptrdiff_t>(n) - 1;
  std::nth_element(scratch->maxima_.begin(), nth, end, std::greater<>());
  std::vector<uint32_t>& candidates = scratch->places_;
  candidates.resize(rows_.rows());
  candidates.resize(
      dense::Best().find_at_least(scratch->upper_.data(), rows_.rows(), *nth, candidates.data()));
  return candidates.size() * kMostCandidates <= rows_.rows();
}

std::vector<ScoredItem> CompactFactors::Top(absl::Span<const float> vector, size_t n, Scratch* scratch) const {
  TopItems best(n);
  if (!FindCandidates(vector, n, scratch)) {
    scratch->scores_.resize(rows_.rows());
    dense::Best().inner_products(rows_.data(), columns_, rows_.rows(), columns_, vector.data(), scratch->scores_.data());
    scratch->candidates_ = rows_.rows();
    best.OfferAll(0, scratch->scores_);
    return best.Take();
  }
  const std::vector<uint32_t>& candidates = scratch->places_;
  scratch->candidates_ = candidates.size();
  scratch->rows_.resize(candidates.size() * columns_);
  scratch->scores_.resize(candidates.size());
  for (size_t i = 0; i < candidates.size(); ++i) {
    std::copy_n(rows_.row(candidates[i]).data(), columns_, scratch->rows_.data() + i * columns_);
  }
  dense::Best().inner_products(scratch->rows_.data(), columns_, candidates.size(), columns_, vector.data(),
                               scratch->scores_.data());
  for (size_t i = 0; i < candidates.size(); ++i) {
    best.Offer(candidates[i], scratch->scores_[i]);
  }
  return best.Take();
}

int64_t CompactFactors::bytes() const {
  return static_cast<int64_t>(values_.capacity() + (scales_.capacity() + lengths_.capacity() + errors_.capacity()) * sizeof(float));
}

}  // namespace tributary
