#include "batch_layer/pipeline/novelty.h"

#include <algorithm>
#include <vector>

#include "batch_layer/models/blend.h"
#include "common/status/status_macros.h"

namespace tributary::batch {
namespace {

// In the numbers of `catalogue`; items that it does not know are left out.
absl::StatusOr<std::vector<ScoredItem>> Renumbered(const v1::ScoredItems& list, const SnapshotReader& snapshot,
                                                   const Catalogue& catalogue) {
  std::vector<ScoredItem> renumbered;
  for (int i = 0; i < list.items_size(); ++i) {
    TRIBUTARY_ASSIGN_OR_RETURN(const v1::Item item, snapshot.ReadItem(ItemNumber{list.items(i)}));
    if (const auto number = catalogue.Find(item.item_id())) {
      renumbered.push_back({*number, list.scores(i)});
    }
  }
  return renumbered;
}

}  // namespace

absl::StatusOr<std::optional<double>> NoveltyToPrevious(const Dataset& dataset, const Views& views,
                                                        const ServingWorld& world, const SnapshotReader& previous,
                                                        const v1::BatchConfig& config) {
  if (!views.learned.has_value() || views.learned->validated_rows.empty()) {
    return std::nullopt;
  }
  const Learned& learned = *views.learned;
  const std::vector<std::vector<ScoredItem>> lists =
      Blend(learned.matrix, learned.ials, learned.item_item)
          .TopN(learned.validated_rows, static_cast<float>(learned.ials_weight),
                static_cast<size_t>(config.list_length()),
                /*exclude_own=*/false, config.threads());
  ServedLists served(world, learned.matrix.ItemUsers());
  double sum = 0;
  size_t users = 0;
  for (size_t i = 0; i < lists.size(); ++i) {
    const uint32_t row = learned.validated_rows[i];
    v1::SnapshotUser before;
    const absl::Status found = previous.FindUser(dataset.users[views.learned_users[row]], &before);
    if (absl::IsNotFound(found) || (found.ok() && before.list().items().empty())) {
      continue;
    }
    TRIBUTARY_RETURN_IF_ERROR(found);
    const absl::Span<const uint32_t> own = learned.matrix.by_row().row(row).columns;
    TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<ScoredItem> old_list,
                               Renumbered(before.list(), previous, *world.catalogue));
    TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<ScoredItem> now, served.Serve(lists[i], own, kValidationLength));
    TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<ScoredItem> then, served.Serve(old_list, own, kValidationLength));
    if (now.empty()) {
      continue;
    }
    const auto fresh = std::count_if(now.begin(), now.end(), [&](const ScoredItem& item) {
      return std::none_of(then.begin(), then.end(), [&](const ScoredItem& old) { return old.item == item.item; });
    });
    sum += static_cast<double>(fresh) / static_cast<double>(now.size());
    ++users;
  }
  return users == 0 ? std::nullopt : std::optional<double>(sum / static_cast<double>(users));
}

}  // namespace tributary::batch
