#ifndef TRIBUTARY_BATCH_LAYER_IMPORT_MAPPING_H_
#define TRIBUTARY_BATCH_LAYER_IMPORT_MAPPING_H_

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tributary/v1/event.pb.h"
#include "tributary/v1/import.pb.h"

namespace tributary::batch {

// Reads and checks a mapping file (protobuf text format). NotFound names the path; InvalidArgument names line and field.
absl::StatusOr<v1::ImportMapping> LoadMapping(const std::string& path);

// What a row says of the catalogue.
struct CatalogueRow {
  std::string item_id;          // Empty: nothing.
  std::string title;
  std::string category;
  std::optional<double> price;  // Positive and finite.
};

struct SkippedRow {};
struct RejectedRow {
  std::string reason;
};
struct MappedRow {
  v1::Event event;              // Not validated yet; without an event id.
  CatalogueRow catalogue;
};

// Turns rows into events as a mapping says. Threads: const calls from any thread.
class RowMapper {
 public:
  // InvalidArgument: a field of the mapping is missing or malformed.
  static absl::StatusOr<std::unique_ptr<RowMapper>> Create(const v1::ImportMapping& mapping);
  virtual ~RowMapper() = default;

  // The columns that the mapping names: what Map wants the values of, in this order.
  virtual const std::vector<std::string>& columns() const = 0;
  virtual std::variant<MappedRow, SkippedRow, RejectedRow> Map(absl::Span<const absl::string_view> values) const = 0;
};

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_IMPORT_MAPPING_H_
