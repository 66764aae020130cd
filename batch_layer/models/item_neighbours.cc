#include "batch_layer/models/item_neighbours.h"

#include <cmath>

#include "batch_layer/models/parallel.h"
#include "common/dense/top_items.h"

namespace tributary::batch {
namespace {

constexpr size_t kItemBlock = 64;

}  // namespace

ItemNeighbours::ItemNeighbours(const InteractionMatrix& sets, const NeighbourOptions& options)
    : sets_(sets), options_(options), set_scale_(sets.rows()), item_norms_(sets.items()) {
  for (uint32_t s = 0; s < sets.rows(); ++s) {
    const size_t size = sets.by_row().row(s).size();
    if (size == 0 || (options.largest_set != 0 && size > options.largest_set)) {
      continue;
    }
    const auto length = static_cast<float>(size);
    set_scale_[s] = options.weighting == NeighbourWeighting::kCosine  ? 1.0f
                    : options.weighting == NeighbourWeighting::kTfIdf ? std::log1p(static_cast<float>(sets.items()) / length)
                                                                      : 1 / std::sqrt(length);
  }
  ForEachBlock(sets.items(), kItemBlock, options.threads, [&](size_t begin, size_t end, int) {
    for (size_t i = begin; i < end; ++i) {
      const SparseRows::Row row = sets.by_item().row(static_cast<uint32_t>(i));
      double squares = 0;
      for (size_t s = 0; s < row.size(); ++s) {
        const double value = options_.weighting == NeighbourWeighting::kDegree ? 1 : Value(row.columns[s], row.weights[s]);
        squares += value * value;
      }
      item_norms_[i] = static_cast<float>(std::sqrt(squares));
    }
  });
}

float ItemNeighbours::Value(uint32_t set, float weight) const {
  const float value = options_.weighting == NeighbourWeighting::kCosine  ? weight
                      : options_.weighting == NeighbourWeighting::kTfIdf ? std::sqrt(weight)
                                                                         : 1;
  return value * set_scale_[set];
}

std::vector<std::vector<ScoredItem>> ItemNeighbours::Compute(uint32_t begin, uint32_t end) const {
  struct Accumulator {
    std::vector<float> sums;          // By item; 0 between items.
    std::vector<uint32_t> touched;
  };
  std::vector<Accumulator> accumulators(static_cast<size_t>(options_.threads));
  std::vector<std::vector<ScoredItem>> lists(end - begin);
  ForEachBlock(lists.size(), kItemBlock, options_.threads, [&](size_t first, size_t last, int worker) {
    Accumulator& accumulator = accumulators[static_cast<size_t>(worker)];
    accumulator.sums.resize(sets_.items());
    TopItems best(options_.k);
    for (size_t at = first; at < last; ++at) {
      const uint32_t item = begin + static_cast<uint32_t>(at);
      const SparseRows::Row sets = sets_.by_item().row(item);
      for (size_t s = 0; s < sets.size(); ++s) {
        const uint32_t set = sets.columns[s];
        const float own = Value(set, sets.weights[s]);
        if (own == 0) {
          continue;
        }
        const SparseRows::Row others = sets_.by_row().row(set);
        for (size_t o = 0; o < others.size(); ++o) {
          float& sum = accumulator.sums[others.columns[o]];
          if (sum == 0) {
            accumulator.touched.push_back(others.columns[o]);
          }
          sum += own * Value(set, others.weights[o]);
        }
      }
      for (uint32_t other : accumulator.touched) {
        const float norms = item_norms_[item] * item_norms_[other] + options_.shrink;
        const float similarity = accumulator.sums[other] / norms;
        accumulator.sums[other] = 0;
        if (other != item && similarity > 0) {
          best.Offer(other, similarity);
        }
      }
      accumulator.touched.clear();
      lists[at] = best.Take();
    }
  });
  return lists;
}

}  // namespace tributary::batch
