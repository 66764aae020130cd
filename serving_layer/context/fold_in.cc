#include "serving_layer/context/fold_in.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/merge/mixed_list.h"

namespace tributary::serving {
namespace {

ObservationOptions OptionsOf(const v1::FoldIn& message) {
  ObservationOptions options;
  for (const v1::KindWeight& entry : message.kind_weights()) {
    if (entry.kind() >= 0 && static_cast<size_t>(entry.kind()) < options.weights.size()) {
      options.weights[static_cast<size_t>(entry.kind())] = static_cast<float>(entry.weight());
    }
  }
  options.dislike_rating_at_most = message.dislike_rating_at_most();
  options.since_unix_ms = message.has_since_unix_ms() ? message.since_unix_ms() : std::numeric_limits<int64_t>::min();
  return options;
}

double ShareOf(const v1::FoldIn& message) {
  return message.has_folded_share() && std::isfinite(message.folded_share()) ? std::clamp(message.folded_share(), 0.0, 1.0) : 1;
}

}  // namespace

FoldIn::FoldIn(const SnapshotFactors& factors, const v1::FoldIn& options, int64_t memory_budget_bytes)
    : fold_in_(FactorsView(factors.values.data(), factors.items, factors.dimensions),
               {factors.eigenvalues.begin(), factors.eigenvalues.end()},
               {.unobserved_weight = factors.unobserved_weight,
                .regularization = factors.regularization,
                .regularization_exponent = factors.regularization_exponent}),
      items_(factors.items),
      options_(OptionsOf(options)),
      list_length_(static_cast<size_t>(std::max(1, options.list_length()))),
      share_(ShareOf(options)),
      memo_(memory_budget_bytes, list_length_) {}

// Of the items that have factors.
void FoldIn::Observe(const UserHistory& history, std::vector<ItemObservation>* observations) const {
  observations->clear();
  AppendObservations(history, options_, observations);
  while (!observations->empty() && Value(observations->back().item) >= items_) {
    observations->pop_back();
  }
}

bool FoldIn::List(const UserHistory& before, const UserHistory& now, absl::Span<const ScoredItem> stored, Scratch* scratch,
                  std::vector<ScoredItem>* list) const {
  Observe(before, &scratch->before);
  Observe(now, &scratch->now);
  if (std::equal(scratch->before.begin(), scratch->before.end(), scratch->now.begin(), scratch->now.end(),
                 [](const ItemObservation& a, const ItemObservation& b) {
                   return a.item == b.item && a.weight == b.weight;
                 })) {
    return false;
  }
  // What rests on something that was forgotten since, or of which nothing is left, counts no more.
  const double share = scratch->now.empty() || stored.empty() ||
                               before.forgotten_until_unix_ms() != now.forgotten_until_unix_ms()
                           ? 1
                           : share_;
  if (share <= 0) {
    return false;
  }
  scratch->columns.clear();
  scratch->weights.clear();
  for (const ItemObservation& observation : scratch->now) {
    scratch->columns.push_back(Value(observation.item));
    scratch->weights.push_back(observation.weight);
  }
  *list = fold_in_.List(scratch->columns, scratch->weights, list_length_, /*exclude_own=*/false, &scratch->ials);
  if (share < 1) {
    *list = MixedList(stored, *list, share, list_length_);
  }
  return true;
}

}  // namespace tributary::serving
