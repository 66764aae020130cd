#include "batch_layer/history/history_manifest.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "common/event/user_digest.h"
#include "common/status/status_macros.h"
#include "glog/logging.h"

namespace tributary::batch {
namespace {

absl::Status Damaged(absl::string_view field, absl::string_view reason) {
  return absl::DataLossError(absl::StrCat("history manifest is damaged: field=", field, " reason=\"", reason, "\""));
}

bool LiesIn(absl::string_view dir, absl::string_view file) {
  return absl::ConsumePrefix(&file, dir) && !file.empty() && file.front() != '.' && !absl::StrContains(file, '/') &&
         !absl::StrContains(file, '\0');
}

absl::Status CheckSegments(const v1::HistoryManifest& manifest) {
  std::map<int32_t, int64_t> ends;   // By partition; offsets of imports count as one partition's.
  for (const v1::HistorySegment& segment : manifest.segments()) {
    if (!segment.file().empty() && !LiesIn("events/", segment.file())) {
      return Damaged("segments.file", absl::StrCat("not a file of events: ", segment.file()));
    }
    if (segment.partition() < Value(kImportPartition)) {
      return Damaged("segments.partition", "below -1");
    }
    if (segment.begin_offset() < 0 || segment.end_offset() < segment.begin_offset()) {
      return Damaged("segments.end_offset", absl::StrCat("no range: ", segment.begin_offset(), " to ", segment.end_offset()));
    }
    const auto [end, first] = ends.try_emplace(segment.partition(), 0);
    if (segment.begin_offset() < end->second) {
      return Damaged("segments.begin_offset", absl::StrCat(segment.begin_offset(), " was there already, in partition ",
                                                           segment.partition()));
    }
    end->second = segment.end_offset();
    if (segment.size_bytes() < 0 || segment.events() < 0) {
      return Damaged("segments.events", "below 0, or size_bytes is");
    }
    if (segment.forgotten() < 0 || segment.forgotten() > manifest.forgotten_size()) {
      return Damaged("segments.forgotten", "more than are listed");
    }
  }
  return absl::OkStatus();
}

absl::Status Check(const v1::HistoryManifest& manifest) {
  if (manifest.format_version() > kHistoryFormatVersion) {
    return absl::FailedPreconditionError(absl::StrCat("history has a newer format: format_version=",
                                                      manifest.format_version(), " known=", kHistoryFormatVersion));
  }
  if (manifest.format_version() < kHistoryFormatVersionWithoutForgotten) {
    return Damaged("format_version", "missing");
  }
  if (manifest.segment_size() <= 0) {
    return Damaged("segment_size", "must be > 0");
  }
  TRIBUTARY_RETURN_IF_ERROR(CheckSegments(manifest));
  if (manifest.import_catalogues_size() != manifest.imports_size()) {
    return Damaged("import_catalogues", "as many as imports");
  }
  for (const std::string& catalogue : manifest.import_catalogues()) {
    if (!catalogue.empty() && !LiesIn("catalogues/", catalogue)) {
      return Damaged("import_catalogues", absl::StrCat("not a catalogue: ", catalogue));
    }
  }
  for (const v1::HistoryGap& gap : manifest.gaps()) {
    if (gap.partition() < 0 || gap.begin_offset() < 0 || gap.end_offset() < gap.begin_offset()) {
      return Damaged("gaps", "no range of a partition");
    }
  }
  for (const v1::ForgottenUser& user : manifest.forgotten()) {
    if (user.user_digest().size() != kUserDigestBytes) {
      return Damaged("forgotten.user_digest", absl::StrCat(kUserDigestBytes, " bytes"));
    }
  }
  return manifest.rewrites() >= 0 ? absl::OkStatus() : Damaged("rewrites", "below 0");
}

}  // namespace

absl::StatusOr<v1::HistoryManifest> HistoryManifestFromJson(const std::string& json) {
  v1::HistoryManifest manifest;
  google::protobuf::util::JsonParseOptions lenient;
  lenient.ignore_unknown_fields = true;
  const auto parsed = google::protobuf::util::JsonStringToMessage(json, &manifest, lenient);
  if (!parsed.ok()) {
    return absl::DataLossError(absl::StrCat("history manifest is damaged: cause=", parsed.message().ToString()));
  }
  TRIBUTARY_RETURN_IF_ERROR(Check(manifest));
  return manifest;
}

PartitionEnd EndOf(const v1::HistoryManifest& manifest, PartitionId partition) {
  PartitionEnd end;
  for (const v1::HistorySegment& segment : manifest.segments()) {
    if (segment.partition() == Value(partition)) {
      end.offset = std::max(end.offset, Offset{segment.end_offset()});
      end.record_time_unix_ms = std::max(end.record_time_unix_ms, segment.record_time_unix_ms());
    }
  }
  for (const v1::HistoryGap& gap : manifest.gaps()) {
    if (gap.partition() == Value(partition)) {
      end.offset = std::max(end.offset, Offset{gap.end_offset()});
    }
  }
  return end;
}

std::string HistoryManifestToJson(const v1::HistoryManifest& manifest) {
  std::string json;
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  const auto printed = google::protobuf::util::MessageToJsonString(manifest, &json, options);
  CHECK(printed.ok()) << printed.message().ToString();
  return json;
}

}  // namespace tributary::batch
