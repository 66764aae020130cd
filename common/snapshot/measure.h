#ifndef TRIBUTARY_COMMON_SNAPSHOT_MEASURE_H_
#define TRIBUTARY_COMMON_SNAPSHOT_MEASURE_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "common/ids/ids.h"
#include "common/snapshot/snapshot.h"

// What a snapshot is like, read from it as it lies on the disk: what the batch layer's gate judges by and what
// `tributary snapshots diff` shows. Errors are those of the reader.
namespace tributary {

// First places of a list that coverage and churn look at: what is on a page.
inline constexpr int kMeasuredDepth = 20;
// Churn is of about so many users, or fewer.
inline constexpr int64_t kChurnUsers = 2000;

struct SnapshotMeasures {
  int64_t generation = 0;
  int64_t events = 0;
  int64_t users = 0;
  int64_t items = 0;
  int64_t size_bytes = 0;                 // Of its files.
  int64_t listed_users = 0;               // With at least one item in their list.
  int64_t empty_lists = 0;                // Of users whom the models know and yet have nothing for.
  int64_t listed_items = 0;               // Among the first items of any user's list.
  int64_t popular_items = 0;              // In the list of the popular ones overall.
  std::map<std::string, double> metrics;  // Of the users' lists, on the validation slice.
  std::map<PartitionId, Offset> watermarks;

  // Shares, 0 to 1; 0 of nothing is 0.
  double user_coverage() const;    // Of users with a list.
  double item_coverage() const;    // Of items in any list.
  double empty_list_rate() const;  // Of the users whom the models know.
};

// The mean share of the first items of a list that are no longer among them, by item id. NaN: there were no two lists
// to compare.
struct Churn {
  double lists = 0;  // Of a sample of the users.
  double popular = 0;
};

// Reads every user once.
absl::StatusOr<SnapshotMeasures> MeasureSnapshot(const SnapshotReader& reader);
// From `before` to `after`, of the users that both know. The sample hangs on their ids alone.
absl::StatusOr<Churn> MeasureChurn(const SnapshotReader& after, const SnapshotReader& before);

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_SNAPSHOT_MEASURE_H_
