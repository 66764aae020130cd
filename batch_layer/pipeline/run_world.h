#ifndef TRIBUTARY_BATCH_LAYER_PIPELINE_RUN_WORLD_H_
#define TRIBUTARY_BATCH_LAYER_PIPELINE_RUN_WORLD_H_

#include <memory>

#include "absl/status/statusor.h"
#include "batch_layer/evaluation/served_lists.h"
#include "batch_layer/pipeline/dataset.h"
#include "batch_layer/pipeline/run_catalogue.h"
#include "common/merge/merge.h"
#include "tributary/v1/config.pb.h"

namespace tributary::batch {

// What a request at the time of the run's latest event would be answered from: the items in the order of the dataset,
// so that their numbers are the same, the rules and the policy.
class RunWorld {
 public:
  // InvalidArgument: the policy.
  static absl::StatusOr<RunWorld> Create(const Dataset& dataset, const RunCatalogue& catalogue,
                                         const v1::MergePolicy& policy);

  // Valid as long as this.
  ServingWorld world() const { return {catalogue_.get(), &rules_, &policy_, now_unix_ms_}; }

 private:
  RunWorld() = default;

  std::shared_ptr<const Catalogue> catalogue_;
  RuleSet rules_;
  MergePolicy policy_;
  int64_t now_unix_ms_ = 0;
};

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_PIPELINE_RUN_WORLD_H_
