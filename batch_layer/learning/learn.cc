#include "batch_layer/learning/learn.h"

#include <malloc.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "batch_layer/evaluation/ranking_metrics.h"
#include "batch_layer/models/blend.h"
#include "batch_layer/models/top_n.h"
#include "common/status/status_macros.h"

namespace tributary::batch {
namespace {

constexpr int kEpochsAfterValidation = 2;
constexpr int kWeightSteps = 10;
constexpr int kCoarseWeights[] = {0, 3, 5, 7, 10};   // In steps.

// How lists are measured: as merge serves them or, without a world, as they are.
class Measurement {
 public:
  Measurement(const InteractionMatrix& matrix, const ValidationSlice& slice, const ServingWorld* world,
              size_t list_length)
      : matrix_(matrix), slice_(slice), item_users_(matrix.ItemUsers()), list_length_(list_length) {
    if (world != nullptr) {
      served_.emplace(*world, item_users_);
    }
  }

  // Of the lists to be given to Measure: their length, and whether they leave out what the user has.
  size_t list_length() const { return served_ ? list_length_ : kValidationLength; }
  bool exclude_own() const { return !served_; }
  const std::vector<uint32_t>& item_users() const { return item_users_; }

  // `lists`: of the slice's rows.
  absl::StatusOr<RankingMetrics> Measure(absl::Span<const std::vector<ScoredItem>> lists) {
    RankingEvaluation evaluation(kValidationLength, item_users_, matrix_.rows());
    for (size_t i = 0; i < slice_.rows.size(); ++i) {
      if (served_) {
        TRIBUTARY_ASSIGN_OR_RETURN(
            const std::vector<ScoredItem> list,
            served_->Serve(lists[i], matrix_.by_row().row(slice_.rows[i]).columns, kValidationLength));
        evaluation.Add(list, slice_.held_out[i]);
      } else {
        evaluation.Add(lists[i], slice_.held_out[i]);
      }
    }
    return evaluation.Means();
  }

 private:
  const InteractionMatrix& matrix_;
  const ValidationSlice& slice_;
  const std::vector<uint32_t> item_users_;
  const size_t list_length_;
  std::optional<ServedLists> served_;
};

// The most used items, for each row.
std::vector<std::vector<ScoredItem>> PopularLists(const InteractionMatrix& matrix, const std::vector<uint32_t>& rows,
                                                  const Measurement& measurement) {
  std::vector<std::vector<ScoredItem>> lists;
  size_t longest = 0;
  for (const uint32_t row : rows) {
    longest = std::max(longest, matrix.by_row().row(row).size());
  }
  TopItems best(measurement.list_length() + longest);
  for (uint32_t item = 0; item < matrix.items(); ++item) {
    best.Offer(item, static_cast<float>(measurement.item_users()[item]));
  }
  const std::vector<ScoredItem> popular = best.Take();
  for (const uint32_t row : rows) {
    const absl::Span<const uint32_t> own = matrix.by_row().row(row).columns;
    std::vector<ScoredItem>& list = lists.emplace_back();
    for (size_t i = 0; i < popular.size() && list.size() < measurement.list_length(); ++i) {
      if (!measurement.exclude_own() || !std::binary_search(own.begin(), own.end(), Value(popular[i].item))) {
        list.push_back(popular[i]);
      }
    }
  }
  return lists;
}

void AddMetrics(const std::string& model, const RankingMetrics& metrics, std::vector<v1::QualityMetric>* out) {
  for (const auto& [name, value] : metrics.Named(kValidationLength)) {
    v1::QualityMetric& metric = out->emplace_back();
    metric.set_name(name);
    metric.set_value(value);
    metric.set_model(model);
  }
}

// Sets the weight and the metrics.
absl::Status Tune(const ValidationSlice& slice, const v1::BatchConfig& config, const ServingWorld* world,
                  Learned* learned) {
  const Blend blend(learned->matrix, learned->ials, learned->item_item);
  Measurement measurement(learned->matrix, slice, world, static_cast<size_t>(config.list_length()));
  std::map<int, RankingMetrics> measured;   // By weight of iALS, in steps.
  const auto measure = [&](int steps) -> absl::Status {
    if (steps >= 0 && steps <= kWeightSteps && measured.count(steps) == 0) {
      const auto weight = static_cast<float>(steps) / kWeightSteps;
      TRIBUTARY_ASSIGN_OR_RETURN(measured[steps],
                                 measurement.Measure(blend.TopN(slice.rows, weight, measurement.list_length(),
                                                                measurement.exclude_own(), config.threads())));
    }
    return absl::OkStatus();
  };
  const auto best = [&measured] {
    return std::max_element(measured.begin(), measured.end(),
                            [](const auto& a, const auto& b) { return a.second.ndcg < b.second.ndcg; })
        ->first;
  };
  for (const int steps : kCoarseWeights) {
    TRIBUTARY_RETURN_IF_ERROR(measure(steps));
  }
  const int around = best();
  TRIBUTARY_RETURN_IF_ERROR(measure(around - 1));
  TRIBUTARY_RETURN_IF_ERROR(measure(around + 1));
  const int chosen = best();
  learned->ials_weight = static_cast<double>(chosen) / kWeightSteps;
  AddMetrics("", measured[chosen], &learned->metrics);
  AddMetrics("ials", measured[kWeightSteps], &learned->metrics);
  AddMetrics(learned->item_item_name, measured[0], &learned->metrics);
  TRIBUTARY_ASSIGN_OR_RETURN(const RankingMetrics popular,
                             measurement.Measure(PopularLists(learned->matrix, slice.rows, measurement)));
  AddMetrics("popularity", popular, &learned->metrics);
  return absl::OkStatus();
}

}  // namespace

IalsOptions IalsOptionsOf(const v1::BatchConfig& config) {
  IalsOptions options;
  options.dimensions = config.ials().dimensions();
  options.epochs = config.ials().epochs();
  options.loss.unobserved_weight = static_cast<float>(config.ials().unobserved_weight());
  options.loss.regularization = static_cast<float>(config.ials().regularization());
  options.loss.regularization_exponent = static_cast<float>(config.ials().regularization_exponent());
  options.seed = config.seed();
  options.threads = config.threads();
  return options;
}

std::string ItemItemName(uint32_t items, const v1::BatchConfig& config) {
  return items <= static_cast<uint32_t>(config.item_item().ease_items_at_most()) ? "ease" : "gf_cf";
}

ItemItemModel TrainItemItem(const InteractionMatrix& matrix, const v1::BatchConfig& config) {
  const v1::ItemItemConfig& item_item = config.item_item();
  if (ItemItemName(matrix.items(), config) == "ease") {
    return TrainEase(matrix, {.regularization = static_cast<float>(item_item.ease_regularization()),
                              .links = static_cast<uint32_t>(item_item.links()),
                              .threads = config.threads()});
  }
  return TrainGfCf(matrix, {.dimensions = item_item.low_pass_dimensions(),
                            .low_pass_weight = static_cast<float>(item_item.low_pass_weight()),
                            .links = static_cast<uint32_t>(item_item.links()),
                            .seed = config.seed(),
                            .threads = config.threads()});
}

absl::StatusOr<Learned> LearnForValidation(absl::Span<const Observation> observations, uint32_t rows, uint32_t items,
                                           const v1::BatchConfig& config, const ServingWorld* world) {
  Learned learned;
  learned.item_item_name = ItemItemName(items, config);
  learned.ials_weight = config.blend().ials_weight();
  ValidationOptions validation;
  validation.users = static_cast<size_t>(config.blend().validation_users());
  validation.seed = config.seed();
  ValidationSlice slice = CutValidation(observations, validation);
  if (!slice.rows.empty()) {
    TRIBUTARY_ASSIGN_OR_RETURN(learned.matrix, InteractionMatrix::Create(rows, items, std::exchange(slice.train, {})));
    TRIBUTARY_ASSIGN_OR_RETURN(learned.ials, TrainIals(learned.matrix, IalsOptionsOf(config)));
    learned.item_item = TrainItemItem(learned.matrix, config);
    TRIBUTARY_RETURN_IF_ERROR(Tune(slice, config, world, &learned));
    if (world != nullptr && config.blend().live_users() > 0) {
      TRIBUTARY_ASSIGN_OR_RETURN(learned.live, ChooseLiveWeights(slice, learned, config, *world));
      for (const auto& [model, metrics] : {std::pair<std::string, const RankingMetrics&>{"live", learned.live->users},
                                           {"newcomer", learned.live->newcomers}}) {
        if (metrics.users > 0) {
          AddMetrics(model, metrics, &learned.metrics);
        }
      }
    }
    learned.validated_rows = std::move(slice.rows);
  }
  return learned;
}

absl::StatusOr<Learned> Learn(absl::Span<const Observation> observations, uint32_t rows, uint32_t items,
                              const v1::BatchConfig& config, const ServingWorld* world) {
  const IalsOptions options = IalsOptionsOf(config);
  TRIBUTARY_ASSIGN_OR_RETURN(Learned learned, LearnForValidation(observations, rows, items, config, world));
  // What is made anew goes before, to the machine.
  learned.matrix = InteractionMatrix();
  learned.item_item = ItemItemModel();
  malloc_trim(0);
  std::vector<Interaction> all;
  all.reserve(observations.size());
  for (const Observation& observation : observations) {
    all.push_back(observation.interaction);
  }
  TRIBUTARY_ASSIGN_OR_RETURN(learned.matrix, InteractionMatrix::Create(rows, items, std::move(all)));
  if (learned.metrics.empty()) {
    TRIBUTARY_ASSIGN_OR_RETURN(learned.ials, TrainIals(learned.matrix, options));
  } else {
    for (int epoch = 0; epoch < kEpochsAfterValidation; ++epoch) {
      TRIBUTARY_RETURN_IF_ERROR(RunIalsEpoch(learned.matrix, options, &learned.ials));
    }
    TRIBUTARY_RETURN_IF_ERROR(FinishIals(learned.matrix, options, &learned.ials));
  }
  learned.item_item = TrainItemItem(learned.matrix, config);
  return learned;
}

}  // namespace tributary::batch
