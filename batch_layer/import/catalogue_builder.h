#ifndef TRIBUTARY_BATCH_LAYER_IMPORT_CATALOGUE_BUILDER_H_
#define TRIBUTARY_BATCH_LAYER_IMPORT_CATALOGUE_BUILDER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "batch_layer/import/head_nouns.h"
#include "batch_layer/import/mapping.h"
#include "tributary/v1/catalogue.pb.h"
#include "tributary/v1/import.pb.h"

namespace tributary::batch {

// Makes catalogue entries of what the rows of a file say, as CatalogueMapping states. A function of the set of rows,
// whatever their order. Memory: by items and distinct titles. Not thread-safe.
class CatalogueBuilder {
 public:
  // `nouns`: where the mapping derives categories by head nouns.
  CatalogueBuilder(const v1::CatalogueMapping& mapping, std::optional<HeadNouns> nouns);

  // A row without item id is ignored, and so are texts beyond the limits of event.h and what is no UTF-8.
  void Add(const CatalogueRow& row);
  // By item id.
  std::vector<v1::Item> Build() const;

 private:
  struct Draft {
    std::map<std::string, int64_t> titles;
    std::map<std::string, int64_t> categories;
    std::vector<double> prices;
  };

  const v1::CatalogueMapping mapping_;
  const std::optional<HeadNouns> nouns_;
  std::map<std::string, Draft> drafts_;
};

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_IMPORT_CATALOGUE_BUILDER_H_
