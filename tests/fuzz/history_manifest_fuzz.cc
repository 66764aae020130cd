#include <glog/logging.h>
#include <google/protobuf/stubs/logging.h>

#include "batch_layer/history/forgotten_users.h"
#include "batch_layer/history/history_manifest.h"
#include "common/event/user_digest.h"
#include "tests/fuzz/fuzz_target.h"

// Any bytes as HISTORY.json: what is taken names no file outside of the history, is written and read back the same.
namespace tributary::fuzz {
namespace {

[[maybe_unused]] const bool kQuiet = (google::protobuf::SetLogHandler(nullptr), true);

}  // namespace

std::vector<std::string> FuzzSeeds() {
  v1::HistoryManifest manifest;
  manifest.set_format_version(1);
  manifest.set_events_topic("events");
  manifest.set_segment_size(1024);
  std::vector<std::string> seeds = {batch::HistoryManifestToJson(manifest)};
  v1::HistorySegment& segment = *manifest.add_segments();
  segment.set_file("events/p0-0-10.parquet");
  segment.set_size_bytes(1000);
  segment.set_xxh64(~uint64_t{0});
  segment.set_end_offset(10);
  segment.set_events(9);
  segment.set_forgotten(1);
  v1::HistorySegment& empty = *manifest.add_segments();
  empty.set_begin_offset(10);
  empty.set_end_offset(12);
  manifest.add_imports()->set_name("a.csv");
  manifest.add_import_catalogues("catalogues/0.catalogue.gz");
  manifest.add_gaps()->set_end_offset(5);
  v1::ForgottenUser& user = *manifest.add_forgotten();
  user.set_user_digest(UserDigest("u"));
  user.set_until_unix_ms(1'700'000'000'000);
  manifest.set_format_version(2);
  manifest.set_rewrites(3);
  seeds.push_back(batch::HistoryManifestToJson(manifest));
  return seeds;
}

}  // namespace tributary::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary;
  const auto manifest = batch::HistoryManifestFromJson(std::string(reinterpret_cast<const char*>(data), size));
  if (!manifest.ok()) {
    CHECK(absl::IsDataLoss(manifest.status()) || absl::IsFailedPrecondition(manifest.status())) << manifest.status();
    return 0;
  }
  for (const v1::HistorySegment& segment : manifest->segments()) {
    CHECK(segment.file().empty() || (segment.file().rfind("events/", 0) == 0 && segment.file().find("/.") == std::string::npos));
  }
  (void)batch::ForgottenUsers(*manifest).Until("u");
  const std::string written = batch::HistoryManifestToJson(*manifest);
  const auto again = batch::HistoryManifestFromJson(written);
  CHECK(again.ok()) << again.status() << "\n" << written;
  CHECK_EQ(again->SerializeAsString(), manifest->SerializeAsString());
  return 0;
}
