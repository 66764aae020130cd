#ifndef TRIBUTARY_COMMON_MERGE_CATALOGUE_H_
#define TRIBUTARY_COMMON_MERGE_CATALOGUE_H_

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/ids/ids.h"
#include "common/merge/name_table.h"
#include "tributary/v1/catalogue.pb.h"

namespace tributary {

enum class CategoryNumber : uint32_t {};   // Dense, of one catalogue and those built on it.
enum class LabelNumber : uint32_t {};      // As CategoryNumber.

// What merge must know of the items, by their dense numbers: a snapshot's items, and over them the changes of the topic
// `items`. Immutable: CatalogueBuilder makes the next one, which shares everything that did not change. Numbers of items,
// categories and labels stay the same from one to the next.
//
// Shapes:  items 0 .. size()-1; the snapshot's come first in its order, items of the topic that it does not know follow.
//          A deleted item keeps its number and is never available.
// Units:   prices in currency units; times in ms since the Unix epoch.
// Threads: immutable; call from any thread. Views and spans are valid as long as the catalogue.
class Catalogue {
 public:
  // No items.
  Catalogue() = default;

  uint32_t size() const { return ids_.size(); }
  std::optional<ItemNumber> Find(absl::string_view item_id) const;
  // This and the accessors below: `item` must be below size().
  absl::string_view Id(ItemNumber item) const { return ids_.Name(Value(item)); }
  // The main category first; empty: none.
  absl::Span<const CategoryNumber> Categories(ItemNumber item) const {
    const Block& block = BlockOf(item);
    const Record& record = block.records[Value(item) % kBlockItems];
    if (record.category_count <= kInlineCategories) {
      return absl::MakeConstSpan(record.categories, record.category_count);
    }
    return absl::MakeConstSpan(block.more_categories.data() + record.more_categories, record.category_count);
  }
  absl::Span<const LabelNumber> Labels(ItemNumber item) const;
  std::optional<double> Price(ItemNumber item) const;
  // Not deleted, not out of stock (or to be had within its lead time), inside its availability.
  bool IsAvailable(ItemNumber item, int64_t now_unix_ms) const {
    const Record& record = RecordOf(item);
    return !record.deleted && !record.out_of_stock && now_unix_ms >= record.available_from_unix_ms &&
           now_unix_ms < record.available_until_unix_ms;
  }
  bool IsDeleted(ItemNumber item) const;
  // Since when it may be shown; the smallest number: always.
  int64_t AvailableFrom(ItemNumber item) const { return RecordOf(item).available_from_unix_ms; }
  // Asks the memory for what the accessors will read.
  void Prefetch(ItemNumber item) const { __builtin_prefetch(&RecordOf(item)); }

  uint32_t category_count() const { return categories_.size(); }
  uint32_t label_count() const { return labels_.size(); }
  std::optional<CategoryNumber> FindCategory(absl::string_view name) const;
  std::optional<LabelNumber> FindLabel(absl::string_view name) const;
  absl::string_view CategoryName(CategoryNumber category) const { return categories_.Name(Value(category)); }
  absl::string_view LabelName(LabelNumber label) const { return labels_.Name(Value(label)); }

 private:
  friend class CatalogueBuilder;

  static constexpr uint32_t kBlockItems = 256;
  static constexpr uint32_t kInlineCategories = 4;

  // One cache line: a merge reads some hundreds at random.
  struct alignas(64) Record {
    int64_t available_from_unix_ms = std::numeric_limits<int64_t>::min();
    int64_t available_until_unix_ms = std::numeric_limits<int64_t>::max();
    double price = std::numeric_limits<double>::quiet_NaN();       // NaN: unknown.
    CategoryNumber categories[kInlineCategories] = {};             // Used up to kInlineCategories.
    uint32_t more_categories = 0;                                  // Where all of them are in numbers, when more.
    uint32_t labels = 0;                                           // Where they are in numbers.
    uint8_t category_count = 0;
    uint8_t label_count = 0;
    bool deleted = false;
    bool out_of_stock = false;
  };

  struct Block {
    std::array<Record, kBlockItems> records;
    std::vector<CategoryNumber> more_categories;
    std::vector<LabelNumber> labels;
  };

  const Block& BlockOf(ItemNumber item) const { return *blocks_[Value(item) / kBlockItems]; }
  const Record& RecordOf(ItemNumber item) const { return BlockOf(item).records[Value(item) % kBlockItems]; }

  NameTable ids_;
  NameTable categories_;
  NameTable labels_;
  std::vector<std::shared_ptr<const Block>> blocks_;
};

// Makes a catalogue from nothing or from an earlier one: a batch of changes costs a copy of the blocks of 256 items that
// it touches, whatever the size of the catalogue.
//
//   CatalogueBuilder builder(*current);
//   builder.Put(item);
//   builder.Delete("sku-7");
//   current = std::move(builder).Build();
//
// Items are taken as they are: whoever reads the topic validates them. More than 16 categories or 64 labels are cut.
// Threads: not thread-safe; builders on the same catalogue are apart from each other.
class CatalogueBuilder {
 public:
  CatalogueBuilder() = default;
  explicit CatalogueBuilder(const Catalogue& base) : catalogue_(base) {}

  // Adds or replaces an item. In an empty builder the i-th different item gets number i.
  ItemNumber Put(const v1::Item& item);
  // An item that was never put gets no number.
  void Delete(absl::string_view item_id);
  std::shared_ptr<const Catalogue> Build() &&;

 private:
  Catalogue::Block& WritableBlock(uint32_t number);
  static std::shared_ptr<Catalogue::Block> Compacted(const Catalogue::Block& block);

  Catalogue catalogue_;
  std::vector<std::shared_ptr<Catalogue::Block>> own_;   // By block number; null: still the base's.
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_MERGE_CATALOGUE_H_
