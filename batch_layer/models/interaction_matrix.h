#ifndef TRIBUTARY_BATCH_LAYER_MODELS_INTERACTION_MATRIX_H_
#define TRIBUTARY_BATCH_LAYER_MODELS_INTERACTION_MATRIX_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace tributary::batch {

// One observation. Rows are users, or sessions where a kernel wants item sets.
struct Interaction {
  uint32_t row = 0;
  uint32_t item = 0;
  float weight = 1;   // Finite, > 0: the confidence c_ui.
};

// Compressed sparse rows; within a row columns ascend.
class SparseRows {
 public:
  struct Row {
    absl::Span<const uint32_t> columns;
    absl::Span<const float> weights;
    size_t size() const { return columns.size(); }
  };

  struct Entry {
    uint32_t column = 0;
    float weight = 0;   // Finite.
  };

  SparseRows() = default;
  // Entries of a row have distinct columns below `columns`, in any order.
  SparseRows(uint32_t columns, std::vector<std::vector<Entry>> rows);

  uint32_t rows() const { return static_cast<uint32_t>(offsets_.size() - 1); }
  uint32_t columns() const { return column_count_; }
  size_t entries() const { return columns_.size(); }
  Row row(uint32_t i) const {
    const size_t begin = offsets_[i];
    const size_t size = offsets_[i + 1] - begin;
    return {absl::MakeConstSpan(columns_.data() + begin, size), absl::MakeConstSpan(weights_.data() + begin, size)};
  }

 private:
  friend class InteractionMatrix;
  std::vector<size_t> offsets_ = {0};
  std::vector<uint32_t> columns_;
  std::vector<float> weights_;
  uint32_t column_count_ = 0;
};

// Observations in both orders. Immutable: call from any thread.
class InteractionMatrix {
 public:
  // Weights of the same (row, item) are added, in the order given. InvalidArgument: a number out of range, or a weight not
  // finite and > 0.
  static absl::StatusOr<InteractionMatrix> Create(uint32_t rows, uint32_t items, std::vector<Interaction> interactions);

  uint32_t rows() const { return by_row_.rows(); }
  uint32_t items() const { return by_item_.rows(); }
  size_t entries() const { return by_row_.entries(); }
  const SparseRows& by_row() const { return by_row_; }     // rows x items
  const SparseRows& by_item() const { return by_item_; }   // items x rows
  // By item, how many rows have it.
  std::vector<uint32_t> ItemUsers() const;

 private:
  SparseRows by_row_;
  SparseRows by_item_;
};

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_MODELS_INTERACTION_MATRIX_H_
