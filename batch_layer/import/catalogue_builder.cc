#include "batch_layer/import/catalogue_builder.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "common/event/event.h"
#include "common/event/utf8.h"

namespace tributary::batch {
namespace {

constexpr size_t kMaxLabels = 64;

// The most frequent; of equals the smaller by bytes. Null: none.
const std::string* MostFrequent(const std::map<std::string, int64_t>& counts) {
  const auto best = std::max_element(counts.begin(), counts.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return best == counts.end() ? nullptr : &best->first;
}

double LowerMedian(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// The words of a title: runs of ASCII letters and digits and of bytes above 127, lower case, each once, by bytes.
std::set<std::string> Labels(absl::string_view title) {
  std::set<std::string> labels;
  std::string word;
  for (size_t i = 0; i <= title.size() && labels.size() < kMaxLabels; ++i) {
    const auto byte = i < title.size() ? static_cast<unsigned char>(title[i]) : static_cast<unsigned char>(' ');
    if (absl::ascii_isalnum(byte) || byte > 127) {
      word.push_back(absl::ascii_tolower(byte));
    } else if (!word.empty()) {
      labels.insert(std::exchange(word, ""));
    }
  }
  return labels;
}

}  // namespace

CatalogueBuilder::CatalogueBuilder(const v1::CatalogueMapping& mapping, std::optional<HeadNouns> nouns)
    : mapping_(mapping), nouns_(std::move(nouns)) {}

void CatalogueBuilder::Add(const CatalogueRow& row) {
  if (row.item_id.empty() || row.item_id.size() > kMaxIdBytes || !IsUtf8(row.item_id)) {
    return;
  }
  Draft& draft = drafts_[row.item_id];
  std::string title = row.title;
  absl::RemoveExtraAsciiWhitespace(&title);
  if (!title.empty() && title.size() <= kMaxTextBytes && IsUtf8(title)) {
    ++draft.titles[std::move(title)];
  }
  if (!row.category.empty() && row.category.size() <= kMaxIdBytes && IsUtf8(row.category)) {
    ++draft.categories[row.category];
  }
  if (row.price) {
    draft.prices.push_back(*row.price);
  }
}

std::vector<v1::Item> CatalogueBuilder::Build() const {
  std::vector<v1::Item> items;
  for (const auto& [item_id, draft] : drafts_) {
    const std::string* const title = MostFrequent(draft.titles);
    if (mapping_.has_title() && title == nullptr) {
      continue;
    }
    v1::Item item;
    item.set_item_id(item_id);
    if (title != nullptr) {
      item.set_title(*title);
      if (mapping_.labels_from_title()) {
        for (const std::string& label : Labels(*title)) {
          item.add_labels(label);
        }
      }
    }
    if (mapping_.has_category()) {
      if (const std::string* category = MostFrequent(draft.categories); category != nullptr) {
        item.add_categories(*category);
      }
    } else if (nouns_ && title != nullptr) {
      const absl::string_view category = nouns_->CategoryOf(*title);
      if (!category.empty()) {
        item.add_categories(std::string(category));
      } else if (!mapping_.head_noun().otherwise().empty()) {
        item.add_categories(mapping_.head_noun().otherwise());
      }
    }
    if (!draft.prices.empty()) {
      item.set_price(LowerMedian(draft.prices));
    }
    items.push_back(std::move(item));
  }
  return items;
}

}  // namespace tributary::batch
