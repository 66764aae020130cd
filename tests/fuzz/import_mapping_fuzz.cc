#include <glog/logging.h>

#include "batch_layer/import/mapping.h"
#include "tests/fakes/temp_dir.h"
#include "tests/fuzz/fuzz_target.h"

// Any bytes as a mapping file: what is taken maps any row to an event, to nothing or to a reason; what is refused says so by
// its code.
namespace tributary::fuzz {
namespace {

void CheckRow(const batch::RowMapper& mapper, absl::string_view value) {
  const std::vector<absl::string_view> values(mapper.columns().size(), value);
  const auto mapped = mapper.Map(values);
  if (const auto* rejected = std::get_if<batch::RejectedRow>(&mapped)) CHECK(!rejected->reason.empty());
}

}  // namespace

std::vector<std::string> FuzzSeeds() {
  return {R"(format: CSV delimiter: ";"
user_id { text: "{CustomerID}" strip_suffix: ".0" } item_id { text: "{Code}" upper_case: true }
time { value { text: "{Date} {Time}" } format: "%Y-%m-%d %H:%M" zone: "Europe/Vienna" }
type { when { column: "Quantity" less_than: 0 } when { column: "Code" matches: "[0-9]+" negate: true } skip: true }
type { when { column: "Kind" starts_with: "b" } type: PURCHASE } type { type: VIEW }
value { column: "Price" times_column: "Quantity" scale: 0.01 absolute: true }
quantity { column: "Quantity" } session_id { text: "invoice:{Invoice}" }
attributes { key: "store" value { text: "{Country}" } }
catalogue { item_id { text: "{Code}" } title { text: "{Name}" } price_column: "Price" labels_from_title: true })",
          R"(format: JSON_LINES user_id { text: "{{{user}}}" } item_id { text: "{item}" }
time { value { text: "{time}" } format: "unix_ms" } type { when { column: "e" equals: "x" } type: CLICK })"};
}

}  // namespace tributary::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary;
  static const TempDir& dir = *new TempDir("tributary-fuzz");
  const auto mapping = batch::LoadMapping(dir.Write("mapping", {reinterpret_cast<const char*>(data), size}));
  if (!mapping.ok()) {
    CHECK(absl::IsInvalidArgument(mapping.status())) << mapping.status();
    return 0;
  }
  const auto mapper = batch::RowMapper::Create(*mapping);
  if (!mapper.ok()) {
    CHECK(absl::IsInvalidArgument(mapper.status())) << mapper.status();
    return 0;
  }
  for (const char* value : {"", "12", "-7.5e300", "2011-01-02 03:04", "1700000000000", "\xff{}"}) {
    fuzz::CheckRow(**mapper, value);
  }
  return 0;
}
