#ifndef TRIBUTARY_SERVING_LAYER_CLI_FILTER_FLAGS_H_
#define TRIBUTARY_SERVING_LAYER_CLI_FILTER_FLAGS_H_

#include <CLI/CLI.hpp>
#include <limits>
#include <string>
#include <vector>

#include "tributary/v1/recommendation_service.pb.h"

namespace tributary::serving {

// The flags of a v1::ItemFilter. Must outlive the command's parsing.
struct FilterFlags {
  std::vector<std::string> categories, not_categories, labels, not_labels, not_items;
  double min_price = -std::numeric_limits<double>::infinity();
  double max_price = std::numeric_limits<double>::infinity();

  void AddTo(CLI::App* command) {
    command->add_option("--in-category", categories, "only these categories")->delimiter(',');
    command->add_option("--not-category", not_categories, "none of these categories")->delimiter(',');
    command->add_option("--label", labels, "only items with one of these labels")->delimiter(',');
    command->add_option("--not-label", not_labels, "no item with one of these labels")->delimiter(',');
    command->add_option("--not-item", not_items, "none of these items")->delimiter(',');
    command->add_option("--min-price", min_price, "lowest price");
    command->add_option("--max-price", max_price, "highest price");
  }
  void ToProto(v1::ItemFilter* filter) const {
    filter->mutable_include_categories()->Assign(categories.begin(), categories.end());
    filter->mutable_exclude_categories()->Assign(not_categories.begin(), not_categories.end());
    filter->mutable_include_labels()->Assign(labels.begin(), labels.end());
    filter->mutable_exclude_labels()->Assign(not_labels.begin(), not_labels.end());
    filter->mutable_exclude_items()->Assign(not_items.begin(), not_items.end());
    if (min_price != -std::numeric_limits<double>::infinity()) {
      filter->set_min_price(min_price);
    }
    if (max_price != std::numeric_limits<double>::infinity()) {
      filter->set_max_price(max_price);
    }
  }
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_CLI_FILTER_FLAGS_H_
