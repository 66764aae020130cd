#ifndef TRIBUTARY_BATCH_LAYER_EXPORT_EXPORT_LISTS_H_
#define TRIBUTARY_BATCH_LAYER_EXPORT_EXPORT_LISTS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/snapshot/snapshot.h"

namespace tributary::batch {

inline constexpr absl::string_view kUserListsFile = "user_lists.parquet";         // user_id, rank, item_id, score
inline constexpr absl::string_view kNeighboursFile = "item_neighbours.parquet";   // item_id, rank, neighbour_id, score

struct ExportReport {
  int64_t users = 0;               // With a list.
  int64_t user_rows = 0;
  int64_t items = 0;               // With neighbours.
  int64_t neighbour_rows = 0;
};

// Writes the users' lists, by user id, and the items' neighbours, by item id, as files in `dir` (made when missing); format:
// ranked_lists_file.h. Lists are as the models made them: what a user bought or dislikes is among them, merge removes it when
// asked. A file appears whole, in place of one that was there. Errors: of the snapshot and the file system.
absl::StatusOr<ExportReport> ExportLists(const SnapshotReader& snapshot, const std::string& dir);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_EXPORT_EXPORT_LISTS_H_
