#include "common/merge/catalogue.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace tributary {
namespace {

constexpr int kMaxCategories = 16;
constexpr int kMaxLabels = 64;

int64_t UnixMs(const google::protobuf::Timestamp& time) {
  return time.seconds() * 1000 + time.nanos() / 1'000'000;
}

}  // namespace

std::optional<ItemNumber> Catalogue::Find(absl::string_view item_id) const {
  const std::optional<uint32_t> number = ids_.Find(item_id);
  return number ? std::optional<ItemNumber>(ItemNumber{*number}) : std::nullopt;
}

absl::Span<const LabelNumber> Catalogue::Labels(ItemNumber item) const {
  const Block& block = BlockOf(item);
  const Record& record = block.records[Value(item) % kBlockItems];
  return absl::MakeConstSpan(block.labels).subspan(record.labels, record.label_count);
}

std::optional<double> Catalogue::Price(ItemNumber item) const {
  const double price = RecordOf(item).price;
  return std::isnan(price) ? std::nullopt : std::optional<double>(price);
}

bool Catalogue::IsDeleted(ItemNumber item) const { return RecordOf(item).deleted; }

std::optional<CategoryNumber> Catalogue::FindCategory(absl::string_view name) const {
  const std::optional<uint32_t> number = categories_.Find(name);
  return number ? std::optional<CategoryNumber>(CategoryNumber{*number}) : std::nullopt;
}

std::optional<LabelNumber> Catalogue::FindLabel(absl::string_view name) const {
  const std::optional<uint32_t> number = labels_.Find(name);
  return number ? std::optional<LabelNumber>(LabelNumber{*number}) : std::nullopt;
}

Catalogue::Block& CatalogueBuilder::WritableBlock(uint32_t number) {
  if (own_.size() <= number) {
    own_.resize(number + 1);
  }
  if (number == catalogue_.blocks_.size()) {
    own_[number] = std::make_shared<Catalogue::Block>();
    catalogue_.blocks_.push_back(own_[number]);
  } else if (own_[number] == nullptr) {
    own_[number] = Compacted(*catalogue_.blocks_[number]);
    catalogue_.blocks_[number] = own_[number];
  }
  return *own_[number];
}

// A copy without the categories and labels that records no longer point to.
std::shared_ptr<Catalogue::Block> CatalogueBuilder::Compacted(const Catalogue::Block& block) {
  auto copy = std::make_shared<Catalogue::Block>();
  copy->records = block.records;
  for (Catalogue::Record& record : copy->records) {
    if (record.category_count > Catalogue::kInlineCategories) {
      const auto from = block.more_categories.begin() + record.more_categories;
      record.more_categories = static_cast<uint32_t>(copy->more_categories.size());
      copy->more_categories.insert(copy->more_categories.end(), from, from + record.category_count);
    }
    const auto from = block.labels.begin() + record.labels;
    record.labels = static_cast<uint32_t>(copy->labels.size());
    copy->labels.insert(copy->labels.end(), from, from + record.label_count);
  }
  return copy;
}

ItemNumber CatalogueBuilder::Put(const v1::Item& item) {
  const ItemNumber number{catalogue_.ids_.Intern(item.item_id())};
  Catalogue::Block& block = WritableBlock(Value(number) / Catalogue::kBlockItems);
  const uint32_t place = Value(number) % Catalogue::kBlockItems;
  Catalogue::Record record;
  if (item.has_available_from()) {
    record.available_from_unix_ms = UnixMs(item.available_from());
  }
  if (item.has_available_until()) {
    record.available_until_unix_ms = UnixMs(item.available_until());
  }
  if (item.has_price()) {
    record.price = item.price();
  }
  const bool to_be_had = item.lead_time().seconds() > 0 || item.lead_time().nanos() > 0;
  record.out_of_stock = item.has_stock() && item.stock() <= 0 && !to_be_had;

  // A category that is named twice counts once.
  std::vector<CategoryNumber> categories;
  for (int i = 0; i < std::min(item.categories_size(), kMaxCategories); ++i) {
    const CategoryNumber category{catalogue_.categories_.Intern(item.categories(i))};
    if (std::find(categories.begin(), categories.end(), category) == categories.end()) {
      categories.push_back(category);
    }
  }
  record.category_count = static_cast<uint8_t>(categories.size());
  if (categories.size() <= Catalogue::kInlineCategories) {
    std::copy(categories.begin(), categories.end(), record.categories);
  } else {
    record.more_categories = static_cast<uint32_t>(block.more_categories.size());
    block.more_categories.insert(block.more_categories.end(), categories.begin(), categories.end());
  }
  record.labels = static_cast<uint32_t>(block.labels.size());
  for (int i = 0; i < std::min(item.labels_size(), kMaxLabels); ++i) {
    const LabelNumber label{catalogue_.labels_.Intern(item.labels(i))};
    const auto begin = block.labels.begin() + record.labels;
    if (std::find(begin, block.labels.end(), label) == block.labels.end()) {
      block.labels.push_back(label);
    }
  }
  record.label_count = static_cast<uint8_t>(block.labels.size() - record.labels);
  block.records[place] = record;
  return number;
}

void CatalogueBuilder::Delete(absl::string_view item_id) {
  const std::optional<ItemNumber> item = catalogue_.Find(item_id);
  if (!item || catalogue_.IsDeleted(*item)) {
    return;
  }
  WritableBlock(Value(*item) / Catalogue::kBlockItems).records[Value(*item) % Catalogue::kBlockItems].deleted = true;
}

std::shared_ptr<const Catalogue> CatalogueBuilder::Build() && {
  return std::make_shared<const Catalogue>(std::move(catalogue_));
}

}  // namespace tributary
