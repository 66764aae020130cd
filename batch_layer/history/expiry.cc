#include "batch_layer/history/expiry.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "batch_layer/history/history_manifest.h"
#include "common/counts/counts.h"
#include "common/event/event.h"

namespace tributary::batch {
namespace {

int64_t NewestUnixMs(const v1::HistoryManifest& manifest) {
  int64_t of_topic = 0, of_imports = 0;
  for (const v1::HistorySegment& segment : manifest.segments()) {
    int64_t& newest = segment.partition() == Value(kImportPartition) ? of_imports : of_topic;
    newest = std::max(newest, segment.record_time_unix_ms());
  }
  return of_topic > 0 ? of_topic : of_imports;
}

}  // namespace

std::vector<int> ExpiredSegments(const v1::HistoryManifest& manifest, absl::Duration keep, absl::Time now) {
  const int64_t kept_from =
      std::min(NewestUnixMs(manifest), absl::ToUnixMillis(now)) - absl::ToInt64Milliseconds(keep);
  absl::flat_hash_map<int32_t, PartitionEnd> ends;
  std::vector<int> expired;
  for (int i = 0; i < manifest.segments_size(); ++i) {
    const v1::HistorySegment& segment = manifest.segments(i);
    if (segment.file().empty() || !segment.forgets_listed() || segment.record_time_unix_ms() >= kept_from) {
      continue;
    }
    if (segment.partition() != Value(kImportPartition)) {
      const auto [end, added] = ends.try_emplace(segment.partition());
      if (added) {
        end->second = EndOf(manifest, PartitionId{segment.partition()});
      }
      if (segment.end_offset() > Value(SegmentStart(end->second.offset, manifest.segment_size())) ||
          segment.record_time_unix_ms() >= end->second.record_time_unix_ms - kDedupWindowMs) {
        continue;
      }
    }
    expired.push_back(i);
  }
  return expired;
}

v1::HistoryManifest WithoutEvents(v1::HistoryManifest manifest, absl::Span<const int> places) {
  for (const int i : places) {
    v1::HistorySegment& segment = *manifest.mutable_segments(i);
    segment.clear_file();
    segment.clear_size_bytes();
    segment.clear_xxh64();
    segment.clear_events();
  }
  google::protobuf::RepeatedPtrField<v1::HistorySegment> segments;
  segments.Swap(manifest.mutable_segments());
  absl::flat_hash_map<int32_t, v1::HistorySegment*> last;     // By partition.
  for (v1::HistorySegment& segment : segments) {
    v1::HistorySegment*& before = last[segment.partition()];
    if (before != nullptr && before->file().empty() && segment.file().empty() &&
        before->end_offset() == segment.begin_offset()) {
      before->set_end_offset(segment.end_offset());
      before->set_record_time_unix_ms(std::max(before->record_time_unix_ms(), segment.record_time_unix_ms()));
    } else {
      before = manifest.add_segments();
      *before = std::move(segment);
    }
  }
  return manifest;
}

}  // namespace tributary::batch
