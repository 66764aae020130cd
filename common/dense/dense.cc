#include "common/dense/dense.h"

#include <algorithm>

namespace tributary::dense {

#if defined(__x86_64__)
extern const Kernels kAvx512;
extern const Kernels kAvx2;
#endif
extern const Kernels kBaseline;

namespace {

constexpr size_t kDepthBlock = 256;   // A panel of this depth stays in the first-level cache.

}  // namespace

std::vector<const Kernels*> Runnable() {
  std::vector<const Kernels*> runnable;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    runnable.push_back(&kAvx512);
  }
  if (avx2) {
    runnable.push_back(&kAvx2);
  }
#endif
  runnable.push_back(&kBaseline);
  return runnable;
}

const Kernels& Best() {
  static const Kernels& best = *Runnable().front();
  return best;
}

RightSide::RightSide(size_t depth, size_t columns, const Kernels& kernels)
    : depth_(depth), columns_(columns), kernels_(&kernels) {
  const size_t width = kernels.panel_width;
  panels_.resize((columns + width - 1) / width * width * depth);
}

RightSide RightSide::FromRows(const float* b, size_t ldb, size_t depth, size_t columns, const Kernels& kernels) {
  RightSide side(depth, columns, kernels);
  const size_t width = kernels.panel_width;
  for (size_t column = 0; column < columns; column += width) {
    float* const panel = side.panels_.data() + column * depth;
    const size_t count = std::min(width, columns - column);
    for (size_t r = 0; r < depth; ++r) {
      std::copy_n(b + r * ldb + column, count, panel + r * width);
    }
  }
  return side;
}

RightSide RightSide::FromColumns(const float* rows, size_t ldr, size_t depth, size_t columns, const Kernels& kernels) {
  RightSide side(depth, columns, kernels);
  const size_t width = kernels.panel_width;
  for (size_t column = 0; column < columns; ++column) {
    float* const panel = side.panels_.data() + column / width * width * depth + column % width;
    for (size_t r = 0; r < depth; ++r) {
      panel[r * width] = rows[column * ldr + r];
    }
  }
  return side;
}

void RightSide::Multiply(const float* a, size_t lda, size_t rows, size_t begin, size_t end, float* c, size_t ldc,
                         Update update) const {
  const size_t width = kernels_->panel_width;
  for (size_t first = 0; first < depth_; first += kDepthBlock) {
    const size_t depth = std::min(kDepthBlock, depth_ - first);
    for (size_t column = begin; column < end; column += width) {
      kernels_->multiply(a + first, lda, 1, rows, panels_.data() + column * depth_ + first * width, width, depth,
                         first > 0 && update == Update::kStore ? Update::kAdd : update, c + column - begin, ldc, std::min(width, end - column));
    }
  }
}

void GramSum::Add(const float* r, size_t ldr, size_t rows, size_t columns, float* c, size_t ldc,
                  const Kernels& kernels) {
  const size_t width = kernels.panel_width;
  panels_.assign((columns + width - 1) / width * width * kDepthBlock, 0.0f);
  for (size_t first = 0; first < rows; first += kDepthBlock) {
    const size_t depth = std::min(kDepthBlock, rows - first);
    for (size_t row = 0; row < depth; ++row) {
      const float* const from = r + (first + row) * ldr;
      for (size_t column = 0; column < columns; column += width) {
        std::copy_n(from + column, std::min(width, columns - column), &panels_[column * kDepthBlock + row * width]);
      }
    }
    for (size_t column = 0; column < columns; column += width) {
      const float* const right = &panels_[column * kDepthBlock];
      for (size_t line = 0; line <= column; line += width) {
        kernels.multiply(&panels_[line * kDepthBlock], 1, width, std::min(width, columns - line), right, width, depth,
                          Update::kAdd, c + line * ldc + column, ldc, std::min(width, columns - column));
      }
    }
  }
}

}  // namespace tributary::dense
