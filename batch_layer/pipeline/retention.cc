#include "batch_layer/pipeline/retention.h"

#include <algorithm>

namespace tributary::batch {

std::vector<Generation> ToRetire(absl::Span<const StoredSnapshot> snapshots, const RetentionLimits& limits) {
  std::vector<Generation> retired;
  for (const StoredSnapshot& snapshot : snapshots) {
    const auto newer = std::count_if(snapshots.begin(), snapshots.end(), [&](const StoredSnapshot& other) {
      return other.generation > snapshot.generation && other.refused == snapshot.refused &&
             (other.in_use || !other.retired);
    });
    if (!snapshot.in_use && (snapshot.retired || newer >= (snapshot.refused ? limits.refused : limits.good))) {
      retired.push_back(snapshot.generation);
    }
  }
  return retired;
}

}  // namespace tributary::batch
