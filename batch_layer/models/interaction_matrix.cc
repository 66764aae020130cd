#include "batch_layer/models/interaction_matrix.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace tributary::batch {

SparseRows::SparseRows(uint32_t columns, std::vector<std::vector<Entry>> rows) : column_count_(columns) {
  for (std::vector<Entry>& row : rows) {
    std::sort(row.begin(), row.end(), [](const Entry& a, const Entry& b) { return a.column < b.column; });
    for (const Entry& entry : row) {
      columns_.push_back(entry.column);
      weights_.push_back(entry.weight);
    }
    offsets_.push_back(columns_.size());
    std::vector<Entry>().swap(row);
  }
}

absl::StatusOr<InteractionMatrix> InteractionMatrix::Create(uint32_t rows, uint32_t items,
                                                            std::vector<Interaction> interactions) {
  for (const Interaction& x : interactions) {
    if (x.row >= rows || x.item >= items || !std::isfinite(x.weight) || x.weight <= 0) {
      return absl::InvalidArgumentError(absl::StrCat("interaction out of range: row=", x.row, " rows=", rows, " item=", x.item,
                                                     " items=", items, " weight=", x.weight));
    }
  }
  const auto before = [](const Interaction& a, const Interaction& b) {
    return std::tie(a.row, a.item) < std::tie(b.row, b.item);
  };
  // What comes from a history is in order, and a hundred million of them want no buffer for sorting.
  if (!std::is_sorted(interactions.begin(), interactions.end(), before)) {
    std::stable_sort(interactions.begin(), interactions.end(), before);
  }
  InteractionMatrix matrix;
  SparseRows& by_row = matrix.by_row_;
  SparseRows& by_item = matrix.by_item_;
  by_row.column_count_ = items;
  by_row.offsets_.assign(size_t{rows} + 1, 0);
  by_item.column_count_ = rows;
  by_item.offsets_.assign(size_t{items} + 1, 0);
  by_row.columns_.reserve(interactions.size());
  by_row.weights_.reserve(interactions.size());
  for (size_t i = 0; i < interactions.size(); ++i) {
    const Interaction& x = interactions[i];
    if (i > 0 && interactions[i - 1].row == x.row && interactions[i - 1].item == x.item) {
      by_row.weights_.back() += x.weight;
      continue;
    }
    by_row.columns_.push_back(x.item);
    by_row.weights_.push_back(x.weight);
    ++by_row.offsets_[x.row + 1];
    ++by_item.offsets_[x.item + 1];
  }
  for (uint32_t i = 0; i < rows; ++i) {
    by_row.offsets_[i + 1] += by_row.offsets_[i];
  }
  for (uint32_t i = 0; i < items; ++i) {
    by_item.offsets_[i + 1] += by_item.offsets_[i];
  }
  std::vector<Interaction>().swap(interactions);  // Before the other order takes its memory.
  by_item.columns_.resize(by_row.columns_.size());
  by_item.weights_.resize(by_row.columns_.size());
  std::vector<size_t> next(by_item.offsets_.begin(), by_item.offsets_.end() - 1);
  for (uint32_t r = 0; r < rows; ++r) {   // Rows ascend, so they do within each item.
    const SparseRows::Row row = by_row.row(r);
    for (size_t i = 0; i < row.size(); ++i) {
      const size_t at = next[row.columns[i]]++;
      by_item.columns_[at] = r;
      by_item.weights_[at] = row.weights[i];
    }
  }
  return matrix;
}

std::vector<uint32_t> InteractionMatrix::ItemUsers() const {
  std::vector<uint32_t> users(items());
  for (uint32_t item = 0; item < items(); ++item) {
    users[item] = static_cast<uint32_t>(by_item_.row(item).size());
  }
  return users;
}

}  // namespace tributary::batch
