#include "batch_layer/export/export_lists.h"

#include <unistd.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "batch_layer/export/ranked_lists_file.h"
#include "batch_layer/history/files.h"
#include "common/status/status_macros.h"

namespace tributary::batch {
namespace {

// Writes `name` under another one first.
absl::Status WriteWhole(const std::string& dir, absl::string_view name, const std::string& key_column,
                        const std::string& item_column, const std::function<absl::Status(RankedListsWriter&)>& write) {
  const std::string path = absl::StrCat(dir, "/", name);
  const std::string partial = path + ".tmp";
  const auto complete = [&]() -> absl::Status {
    TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<RankedListsWriter> writer,
                               RankedListsWriter::Create(partial, key_column, item_column));
    TRIBUTARY_RETURN_IF_ERROR(write(*writer));
    TRIBUTARY_RETURN_IF_ERROR(writer->Finish());
    return RenameDurably(partial, path);
  };
  const absl::Status status = complete();
  if (!status.ok()) {
    ::unlink(partial.c_str());
  }
  return status;
}

}  // namespace

absl::StatusOr<ExportReport> ExportLists(const SnapshotReader& snapshot, const std::string& dir) {
  std::error_code error;
  std::filesystem::create_directories(dir, error);
  if (error) {
    return absl::UnavailableError(absl::StrCat("export directory cannot be made: path=", dir, " cause=", error.message()));
  }
  std::vector<std::string> ids;
  for (uint32_t i = 0; i < snapshot.item_count(); ++i) {
    TRIBUTARY_ASSIGN_OR_RETURN(v1::Item item, snapshot.ReadItem(ItemNumber{i}));
    ids.push_back(std::move(*item.mutable_item_id()));
  }
  ExportReport report;
  const auto users = [&](RankedListsWriter& writer) {
    return snapshot.ForEachUser([&](absl::string_view user_id, const v1::SnapshotUser& user) -> absl::Status {
      const v1::ScoredItems& list = user.list();
      for (int i = 0; i < list.items_size(); ++i) {
        if (list.items(i) >= ids.size()) {
          return absl::DataLossError(absl::StrCat("snapshot names an item that it does not have: generation=",
                                                  Value(snapshot.generation()), " item=", list.items(i)));
        }
        TRIBUTARY_RETURN_IF_ERROR(writer.Append({user_id, i + 1, ids[list.items(i)], list.scores(i)}));
      }
      report.users += list.items().empty() ? 0 : 1;
      report.user_rows += list.items_size();
      return absl::OkStatus();
    });
  };
  TRIBUTARY_RETURN_IF_ERROR(WriteWhole(dir, kUserListsFile, "user_id", "item_id", users));
  const auto neighbours = [&](RankedListsWriter& writer) -> absl::Status {
    for (uint32_t item = 0; item < snapshot.item_count(); ++item) {
      int rank = 0;
      for (const ScoredItem& neighbour : snapshot.Neighbours(ItemNumber{item})) {
        TRIBUTARY_RETURN_IF_ERROR(writer.Append({ids[item], ++rank, ids[Value(neighbour.item)], neighbour.score}));
      }
      report.items += rank > 0 ? 1 : 0;
      report.neighbour_rows += rank;
    }
    return absl::OkStatus();
  };
  TRIBUTARY_RETURN_IF_ERROR(WriteWhole(dir, kNeighboursFile, "item_id", "neighbour_id", neighbours));
  return report;
}

}  // namespace tributary::batch
