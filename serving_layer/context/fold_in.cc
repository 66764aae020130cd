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

FoldIn::FoldIn(const SnapshotFactors& factors, const v1::FoldIn& model, const Options& options)
    : fold_in_(FactorsView(factors.values.data(), factors.items, factors.dimensions),
               {factors.eigenvalues.begin(), factors.eigenvalues.end()},
               {.unobserved_weight = factors.unobserved_weight,
                .regularization = factors.regularization,
                .regularization_exponent = factors.regularization_exponent}),
      items_(factors.items),
      options_(OptionsOf(model)),
      list_length_(static_cast<size_t>(std::max(1, model.list_length()))),
      share_(ShareOf(model)),
      at_once_(options.memory_budget_bytes == 0 ||
               int64_t{factors.items} * (factors.dimensions + 12) <= options.at_once_bytes),
      memo_(options.memory_budget_bytes, list_length_) {}

// Of the items that have factors.
void FoldIn::Observe(const UserHistory& history, std::vector<ItemObservation>* observations) const {
  observations->clear();
  AppendObservations(history, options_, observations);
  while (!observations->empty() && Value(observations->back().item) >= items_) {
    observations->pop_back();
  }
}

bool FoldIn::Seen(const UserHistory& before, const UserHistory& now, absl::Span<const ScoredItem> stored,
                  Scratch* scratch) const {
  Observe(before, &scratch->before);
  Observe(now, &scratch->now);
  // What rests on something that was forgotten since counts no more, nor what rests on nothing.
  const bool holds = !stored.empty() && before.forgotten_until_unix_ms() == now.forgotten_until_unix_ms();
  if ((holds || stored.empty()) &&
      std::equal(scratch->before.begin(), scratch->before.end(), scratch->now.begin(), scratch->now.end(),
                 [](const ItemObservation& a, const ItemObservation& b) {
                   return a.item == b.item && a.weight == b.weight;
                 })) {
    return false;
  }
  scratch->share = holds && !scratch->now.empty() ? share_ : 1;
  return scratch->share > 0;
}

std::vector<ScoredItem> FoldIn::List(absl::Span<const ScoredItem> stored, Scratch* scratch) const {
  scratch->columns.clear();
  scratch->weights.clear();
  for (const ItemObservation& observation : scratch->now) {
    scratch->columns.push_back(Value(observation.item));
    scratch->weights.push_back(observation.weight);
  }
  std::vector<ScoredItem> list =
      fold_in_.List(scratch->columns, scratch->weights, list_length_, /*exclude_own=*/false, &scratch->ials);
  return scratch->share < 1 ? MixedList(stored, list, scratch->share, list_length_) : list;
}

}  // namespace tributary::serving
