#include <glog/logging.h>
#include <google/protobuf/stubs/logging.h>
#include <xxhash.h>

#include "absl/strings/str_format.h"
#include "common/snapshot/manifest.h"
#include "common/snapshot/snapshot.h"
#include "tests/fuzz/fuzz_target.h"

// Any bytes as MANIFEST.json, once as they are and once with a checksum that fits, so that what lies behind it is reached:
// what is taken is written and read back the same; what is refused says so by its code.
namespace tributary::fuzz {
namespace {

constexpr absl::string_view kChecksumField = "\"manifestChecksum\": \"";
constexpr size_t kChecksumDigits = 16;

[[maybe_unused]] const bool kQuiet = (google::protobuf::SetLogHandler(nullptr), true);

void CheckManifest(absl::string_view json) {
  const auto manifest = ManifestFromJson(json);
  if (!manifest.ok()) {
    CHECK(absl::IsDataLoss(manifest.status()) || absl::IsFailedPrecondition(manifest.status())) << manifest.status();
    return;
  }
  CHECK_GT(manifest->generation(), 0);
  const auto written = ManifestToJson(*manifest);
  CHECK(written.ok()) << written.status();
  auto again = ManifestFromJson(*written);
  CHECK(again.ok()) << again.status();
  again->set_manifest_checksum(manifest->manifest_checksum());   // The bytes before may have been laid out otherwise.
  CHECK_EQ(again->SerializeAsString(), manifest->SerializeAsString());
}

}  // namespace

std::vector<std::string> FuzzSeeds() {
  v1::SnapshotManifest manifest;
  manifest.set_format_version(kSnapshotFormatVersion);
  manifest.set_generation(3);
  std::vector<std::string> seeds = {*ManifestToJson(manifest)};
  manifest.add_watermarks()->set_partition(1);
  manifest.mutable_watermarks(0)->set_watermark(10);
  for (const char* path : {"items.bin", "neighbours.bin", "db/CURRENT", "db/000001.sst"}) {
    v1::SnapshotFile& file = *manifest.add_files();
    file.set_path(path);
    file.set_size_bytes(100);
  }
  seeds.push_back(*ManifestToJson(manifest));
  return seeds;
}

}  // namespace tributary::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary;
  std::string json(reinterpret_cast<const char*>(data), size);
  fuzz::CheckManifest(json);
  const size_t field = json.rfind(std::string(fuzz::kChecksumField));
  if (field == std::string::npos || field + fuzz::kChecksumField.size() + fuzz::kChecksumDigits > json.size()) return 0;
  const size_t at = field + fuzz::kChecksumField.size();
  json.replace(at, fuzz::kChecksumDigits, fuzz::kChecksumDigits, '0');
  json.replace(at, fuzz::kChecksumDigits, absl::StrFormat("%016x", XXH64(json.data(), json.size(), 0)));
  fuzz::CheckManifest(json);
  return 0;
}
