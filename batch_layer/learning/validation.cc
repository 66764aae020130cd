#include "batch_layer/learning/validation.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

namespace tributary::batch {
namespace {

constexpr size_t kLeastItems = 5;
constexpr size_t kHeldOutShare = 5;   // One in so many.
constexpr uint32_t kNoItem = 0xffffffff;

uint64_t Lot(uint32_t row, uint32_t item, uint64_t seed) {
  const std::array<uint32_t, 2> pair = {row, item};
  return XXH3_64bits_withSeed(pair.data(), sizeof(pair), seed);
}

}  // namespace

ValidationSlice CutValidation(absl::Span<const Observation> observations, const ValidationOptions& options) {
  struct Candidate {
    uint64_t lot;
    uint32_t row;
    size_t begin;
    size_t end;
  };
  std::vector<Candidate> candidates;
  for (size_t begin = 0, end = 0; begin < observations.size(); begin = end) {
    const uint32_t row = observations[begin].interaction.row;
    while (end < observations.size() && observations[end].interaction.row == row) {
      ++end;
    }
    if (end - begin >= kLeastItems) {
      candidates.push_back({Lot(row, kNoItem, options.seed), row, begin, end});
    }
  }
  ValidationSlice slice;
  if (options.users == 0 || candidates.size() < options.least_users) {
    return slice;
  }
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return std::tie(a.lot, a.row) < std::tie(b.lot, b.row); });
  candidates.resize(std::min(candidates.size(), options.users));
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) { return a.row < b.row; });

  std::vector<bool> out(observations.size());
  for (const Candidate& candidate : candidates) {
    std::vector<std::tuple<int64_t, uint64_t, size_t>> order;   // Latest last.
    for (size_t i = candidate.begin; i < candidate.end; ++i) {
      order.emplace_back(observations[i].time_unix_ms, Lot(candidate.row, observations[i].interaction.item, options.seed), i);
    }
    std::sort(order.rbegin(), order.rend());
    std::vector<uint32_t> held_out;
    for (size_t i = 0; i < order.size() / kHeldOutShare; ++i) {
      out[std::get<2>(order[i])] = true;
      held_out.push_back(observations[std::get<2>(order[i])].interaction.item);
    }
    std::sort(held_out.begin(), held_out.end());
    std::vector<Observation>& in_order = slice.in_order.emplace_back();
    for (size_t i = order.size(); i-- > 0;) {
      in_order.push_back(observations[std::get<2>(order[i])]);
    }
    slice.rows.push_back(candidate.row);
    slice.held_out.push_back(std::move(held_out));
  }
  slice.train.reserve(observations.size());
  for (size_t i = 0; i < observations.size(); ++i) {
    if (!out[i]) {
      slice.train.push_back(observations[i].interaction);
    }
  }
  return slice;
}

}  // namespace tributary::batch
