#include "batch_layer/models/content.h"

#include <glog/logging.h>

#include <cmath>
#include <cstddef>

namespace tributary::batch {

std::vector<uint32_t> FillNewItems(absl::Span<const std::vector<uint32_t>> features, uint32_t feature_count,
                                   absl::Span<const uint32_t> item_users, float weight, Factors* items) {
  CHECK_EQ(features.size(), items->rows());
  CHECK_EQ(item_users.size(), items->rows());
  const auto dimensions = static_cast<size_t>(items->dimensions());

  std::vector<double> users(feature_count);    // n_i, summed.
  std::vector<uint32_t> with(feature_count);   // Items, new ones too.
  Factors sums(feature_count, items->dimensions());
  for (uint32_t item = 0; item < items->rows(); ++item) {
    for (const uint32_t feature : features[item]) {
      ++with[feature];
      users[feature] += item_users[item];
      const auto n = static_cast<float>(item_users[item]);
      for (size_t d = 0; n > 0 && d < dimensions; ++d) {
        sums.row(feature)[d] += n * items->row(item)[d];
      }
    }
  }

  std::vector<uint32_t> filled;
  for (uint32_t item = 0; item < items->rows(); ++item) {
    if (item_users[item] > 0) {
      continue;
    }
    double total = 0;
    std::vector<double> mean(dimensions);
    for (const uint32_t feature : features[item]) {
      if (users[feature] == 0) {
        continue;
      }
      const double idf = std::log(1 + static_cast<double>(items->rows()) / with[feature]);
      total += idf;
      for (size_t d = 0; d < dimensions; ++d) {
        mean[d] += idf * sums.row(feature)[d] / users[feature];
      }
    }
    if (total == 0) {
      continue;
    }
    for (size_t d = 0; d < dimensions; ++d) {
      items->row(item)[d] = static_cast<float>(weight * mean[d] / total);
    }
    filled.push_back(item);
  }
  return filled;
}

}  // namespace tributary::batch
