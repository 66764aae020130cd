#include "tests/common/snapshot/shop.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/snapshot/snapshot.h"
#include "common/status/status_macros.h"

namespace tributary::sample {

absl::Status WriteShop(const std::string& snapshots_dir, Generation generation, const Shop& shop,
                       v1::SnapshotManifest manifest) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<SnapshotWriter> writer,
                             SnapshotWriter::Create(snapshots_dir, generation));
  std::vector<v1::Item> items(static_cast<size_t>(shop.items));
  v1::ScoredItems list;
  for (int i = 0; i < shop.items; ++i) {
    items[static_cast<size_t>(i)].set_item_id(absl::StrCat("i", shop.first_item + (i + shop.shift) % shop.items));
    list.add_items(static_cast<uint32_t>(i));
    list.add_scores(1);
  }
  TRIBUTARY_RETURN_IF_ERROR(writer->WriteItems(items));
  TRIBUTARY_RETURN_IF_ERROR(writer->WriteNeighbours(std::vector<std::vector<ScoredItem>>(items.size())));
  TRIBUTARY_RETURN_IF_ERROR(writer->PutPopular(kPopularOverall, list));
  for (int u = 0; u < shop.users; ++u) {
    v1::SnapshotUser user;
    user.mutable_profile();
    if (u >= shop.unlisted) {
      *user.mutable_list() = u < shop.unlisted + shop.empty ? v1::ScoredItems() : list;
    }
    TRIBUTARY_RETURN_IF_ERROR(writer->PutUser(absl::StrFormat("u%06d", u), user));
  }
  manifest.set_segment_size(1024);
  manifest.set_events(1000);
  manifest.set_users(shop.users);
  manifest.set_items(shop.items);
  return writer->Finish(std::move(manifest)).status();
}

}  // namespace tributary::sample
