#ifndef TRIBUTARY_SERVING_LAYER_CONTEXT_LOADED_SNAPSHOT_H_
#define TRIBUTARY_SERVING_LAYER_CONTEXT_LOADED_SNAPSHOT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/ids/ids.h"
#include "common/merge/catalogue.h"
#include "common/merge/merge.h"
#include "common/merge/policy.h"
#include "common/sessions/session_neighbours.h"
#include "common/snapshot/snapshot.h"
#include "serving_layer/context/fold_in.h"

namespace tributary::serving {

// A verified snapshot with all that requests need of it in memory or mapped: neighbours where they lie, popularity lists
// and the catalogue of its items decoded, the cut counts of each partition.
// Threads: immutable; call from any thread.
class LoadedSnapshot final : public CandidateViews {
 public:
  struct Options {
    std::string snapshots_dir;
    int64_t block_cache_bytes = 0;
    FoldIn::Options fold_in;
  };

  // Opens, verifies every checksum, decodes and warms. Takes seconds for a large snapshot; memory only, no locks.
  // Errors: as SnapshotReader::Open; DataLoss also for a view that holds item numbers out of range.
  static absl::StatusOr<std::shared_ptr<const LoadedSnapshot>> Load(const Options& options, Generation generation,
                                                                    const MergePolicy& policy);

  const SnapshotReader& reader() const { return *reader_; }
  Generation generation() const { return reader_->generation(); }
  // W; 0 for a partition that the snapshot does not know.
  Offset Watermark(PartitionId partition) const {
    const auto p = static_cast<size_t>(Value(partition));
    return p < watermarks_.size() ? watermarks_[p] : Offset{0};
  }
  // What W cuts off the segment that it lies in.
  const SegmentCounts& CutCounts(PartitionId partition) const;
  const SourceWeights& weights() const { return weights_; }
  // Of the snapshot's items, numbered as in it.
  const Catalogue& catalogue() const { return *catalogue_; }
  // Over its session index, as it lies there; over none where it has none.
  const SessionNeighbours& sessions() const { return *sessions_; }
  // Null: the snapshot does not say how.
  const FoldIn* fold_in() const { return fold_in_.get(); }
  // Over no stored sessions: for live ones alone.
  static const SessionNeighbours& NoSessions();

  absl::Span<const ScoredItem> Neighbours(ItemNumber item) const override { return reader_->Neighbours(item); }
  absl::Span<const ScoredItem> Popular() const override { return popular_; }
  absl::Span<const ScoredItem> PopularIn(CategoryNumber category) const override {
    const auto c = static_cast<size_t>(Value(category));
    return c < popular_in_.size() ? absl::MakeConstSpan(popular_in_[c]) : absl::Span<const ScoredItem>();
  }
  absl::Span<const ScoredItem> PopularAmong(absl::string_view segment) const override {
    const auto found = popular_among_.find(segment);
    return found == popular_among_.end() ? absl::Span<const ScoredItem>() : absl::MakeConstSpan(found->second);
  }

 private:
  LoadedSnapshot() = default;
  absl::Status Decode(const MergePolicy& policy);
  absl::StatusOr<std::vector<ScoredItem>> ReadPopular(absl::string_view scope) const;
  absl::StatusOr<std::vector<ScoredItem>> DecodePopular(absl::string_view scope, const v1::ScoredItems& list) const;

  std::unique_ptr<SnapshotReader> reader_;
  std::shared_ptr<const Catalogue> catalogue_;
  std::optional<SessionNeighbours> sessions_;
  std::unique_ptr<const FoldIn> fold_in_;
  std::vector<ScoredItem> popular_;
  std::vector<std::vector<ScoredItem>> popular_in_;   // By category number.
  absl::flat_hash_map<std::string, std::vector<ScoredItem>> popular_among_;   // By segment of users.
  std::vector<Offset> watermarks_;                    // By partition.
  std::vector<SegmentCounts> cut_counts_;             // By partition.
  SourceWeights weights_;
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_CONTEXT_LOADED_SNAPSHOT_H_
