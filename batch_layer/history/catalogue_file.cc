#include "batch_layer/history/catalogue_file.h"

#include <google/protobuf/io/gzip_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/util/delimited_message_util.h>

#include <utility>

#include "absl/status/status.h"
#include "glog/logging.h"

namespace tributary::batch {

std::string EncodeCatalogue(absl::Span<const v1::CatalogueEntry> entries) {
  std::string bytes;
  google::protobuf::io::StringOutputStream out(&bytes);
  google::protobuf::io::GzipOutputStream gzip(&out);
  for (const v1::CatalogueEntry& entry : entries) {
    CHECK(google::protobuf::util::SerializeDelimitedToZeroCopyStream(entry, &gzip));
  }
  CHECK(gzip.Close());
  return bytes;
}

absl::StatusOr<std::vector<v1::CatalogueEntry>> DecodeCatalogue(absl::string_view bytes) {
  google::protobuf::io::ArrayInputStream in(bytes.data(), static_cast<int>(bytes.size()));
  google::protobuf::io::GzipInputStream gzip(&in, google::protobuf::io::GzipInputStream::GZIP);
  std::vector<v1::CatalogueEntry> entries;
  for (;;) {
    v1::CatalogueEntry entry;
    bool clean_end = false;
    if (!google::protobuf::util::ParseDelimitedFromZeroCopyStream(&entry, &gzip, &clean_end)) {
      if (clean_end && gzip.ZlibErrorCode() >= 0) {
        return entries;
      }
      return absl::DataLossError("catalogue file is damaged");
    }
    entries.push_back(std::move(entry));
  }
}

}  // namespace tributary::batch
