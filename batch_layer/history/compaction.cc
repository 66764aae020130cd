#include "batch_layer/history/compaction.h"

#include <map>
#include <utility>

namespace tributary::batch {
namespace {

// Small files that follow each other, as they are met.
class Group {
 public:
  void Add(int segment, const v1::HistorySegment& info) {
    segments_.push_back(segment);
    if (!info.file().empty()) {
      ++files_;
      bytes_ += info.size_bytes();
      last_file_ = segments_.size();
    }
  }
  int64_t bytes() const { return bytes_; }

  // Ends the group; what has no file at its end is left out.
  void Close(int min_files, std::vector<std::vector<int>>* groups) {
    if (files_ >= min_files) {
      segments_.resize(last_file_);
      groups->push_back(std::move(segments_));
    }
    *this = Group();
  }

 private:
  std::vector<int> segments_;
  int files_ = 0;
  int64_t bytes_ = 0;
  size_t last_file_ = 0;    // So many segments, up to the last one with a file.
};

}  // namespace

std::vector<std::vector<int>> PlanCompaction(const v1::HistoryManifest& manifest, const CompactionLimits& limits) {
  std::map<std::pair<int32_t, int64_t>, int> in_order;
  for (int i = 0; i < manifest.segments_size(); ++i) {
    in_order[{manifest.segments(i).partition(), manifest.segments(i).begin_offset()}] = i;
  }
  std::vector<std::vector<int>> groups;
  const int64_t span_ms = absl::ToInt64Milliseconds(limits.span);
  Group group;
  std::pair<int32_t, int64_t> place = {0, 0};       // Partition and span.
  for (const auto& [position, i] : in_order) {
    const v1::HistorySegment& segment = manifest.segments(i);
    const bool small = segment.size_bytes() < limits.file_bytes / 2;
    const std::pair of_segment = {position.first, span_ms > 0 ? segment.record_time_unix_ms() / span_ms : 0};
    if (of_segment != place || !small) {
      group.Close(limits.min_files, &groups);
      place = of_segment;
    }
    if (small) {
      group.Add(i, segment);
    }
    if (group.bytes() >= limits.file_bytes) {
      group.Close(limits.min_files, &groups);
    }
  }
  group.Close(limits.min_files, &groups);
  return groups;
}

}  // namespace tributary::batch
