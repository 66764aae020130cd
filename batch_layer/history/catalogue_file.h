#ifndef TRIBUTARY_BATCH_LAYER_HISTORY_CATALOGUE_FILE_H_
#define TRIBUTARY_BATCH_LAYER_HISTORY_CATALOGUE_FILE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tributary/v1/history.pb.h"

namespace tributary::batch {

// The bytes of a catalogue file: gzip of varint-length-delimited CatalogueEntry. Equal entries give equal bytes.
std::string EncodeCatalogue(absl::Span<const v1::CatalogueEntry> entries);
// DataLoss: damaged.
absl::StatusOr<std::vector<v1::CatalogueEntry>> DecodeCatalogue(absl::string_view bytes);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_HISTORY_CATALOGUE_FILE_H_
