#include "serving_layer/live_state/live_views.h"

namespace tributary::serving {

ViewOrder FromProto(const v1::ViewPosition& position) {
  return {.applied = Offset{position.applied_offset()},
          .group_generation = position.group_generation(),
          .floor = Offset{position.floor()}};
}

void PartitionsOf(const LiveUserViews& views, const ServingContext& context, std::vector<LivePartition>* partitions) {
  partitions->clear();
  for (const auto& view : views.views) {
    partitions->push_back(
        {.partition = view->partition,
         .watermark = context.snapshot != nullptr ? context.Watermark(view->partition) : view->order.floor,
         .floor = view->order.floor,
         .facts = view->facts,
         .recent = view->recent,
         .impressions = view->impressions,
         .truncated = view->truncated});
  }
}

}  // namespace tributary::serving
