#include "serving_layer/context/newest_items.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <optional>
#include <utility>

namespace tributary::serving {
namespace {

bool IsNew(const Catalogue& catalogue, ItemNumber item) {
  return catalogue.AvailableFrom(item) != std::numeric_limits<int64_t>::min() && !catalogue.IsDeleted(item);
}

struct Newer {
  const Catalogue& catalogue;
  bool operator()(ItemNumber a, ItemNumber b) const {
    const int64_t a_from = catalogue.AvailableFrom(a), b_from = catalogue.AvailableFrom(b);
    return a_from != b_from ? a_from > b_from : catalogue.Id(a) < catalogue.Id(b);
  }
};

}  // namespace

void NewestItems::Rebuild(const Catalogue& catalogue) {
  items_.clear();
  for (uint32_t i = 0; i < catalogue.size(); ++i) {
    if (IsNew(catalogue, ItemNumber{i})) {
      items_.push_back(ItemNumber{i});
    }
  }
  complete_ = items_.size() <= 2 * most_;
  const auto end = items_.begin() + static_cast<std::ptrdiff_t>(std::min(items_.size(), 2 * most_));
  std::partial_sort(items_.begin(), end, items_.end(), Newer{catalogue});
  items_.erase(end, items_.end());
}

void NewestItems::Update(const Catalogue& before, const Catalogue& now, std::vector<ItemNumber> changed) {
  std::sort(changed.begin(), changed.end());
  changed.erase(std::unique(changed.begin(), changed.end()), changed.end());
  // Who is not remembered is older than this.
  const int64_t oldest_from = complete_ || items_.empty() ? 0 : before.AvailableFrom(items_.back());
  const absl::string_view oldest_id = complete_ || items_.empty() ? "" : before.Id(items_.back());
  std::vector<ItemNumber> added;
  std::copy_if(changed.begin(), changed.end(), std::back_inserter(added), [&](ItemNumber item) {
    const int64_t from = now.AvailableFrom(item);
    return IsNew(now, item) &&
           (complete_ || from > oldest_from || (from == oldest_from && now.Id(item) <= oldest_id));
  });
  std::sort(added.begin(), added.end(), Newer{now});
  items_.erase(std::remove_if(items_.begin(), items_.end(),
                              [&](ItemNumber item) { return std::binary_search(changed.begin(), changed.end(), item); }),
               items_.end());
  std::vector<ItemNumber> items;
  items.reserve(items_.size() + added.size());
  std::merge(items_.begin(), items_.end(), added.begin(), added.end(), std::back_inserter(items), Newer{now});
  items_ = std::move(items);
  if (items_.size() > 2 * most_) {
    items_.resize(2 * most_);
    complete_ = false;
  }
  if (!complete_ && items_.size() < most_) {
    Rebuild(now);
  }
}

}  // namespace tributary::serving
