#include "serving_layer/context/loaded_snapshot.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/status/status_macros.h"

namespace tributary::serving {

absl::StatusOr<std::shared_ptr<const LoadedSnapshot>> LoadedSnapshot::Load(const Options& options, Generation generation,
                                                                           const MergePolicy& policy) {
  std::shared_ptr<LoadedSnapshot> snapshot(new LoadedSnapshot);
  TRIBUTARY_ASSIGN_OR_RETURN(
      snapshot->reader_, SnapshotReader::Open(options.snapshots_dir, generation, SnapshotReader::Verify::kChecksums,
                                              options.block_cache_bytes));
  TRIBUTARY_RETURN_IF_ERROR(snapshot->Decode(policy));
  const SnapshotReader& reader = *snapshot->reader_;
  if (reader.factors() != nullptr && reader.manifest().has_fold_in()) {
    snapshot->fold_in_ =
        std::make_unique<const FoldIn>(*reader.factors(), reader.manifest().fold_in(), options.fold_in);
  }
  snapshot->weights_ = ResolveWeights(snapshot->reader_->manifest(), policy);
  return snapshot;
}

const SessionNeighbours& LoadedSnapshot::NoSessions() {
  static const SessionIndexArrays* const none = new SessionIndexArrays;
  static const SessionNeighbours* const neighbours = new SessionNeighbours(none->index(), SessionNeighbourOptions());
  return *neighbours;
}

absl::Status LoadedSnapshot::Decode(const MergePolicy& policy) {
  CatalogueBuilder builder;
  for (uint32_t i = 0; i < reader_->item_count(); ++i) {
    TRIBUTARY_ASSIGN_OR_RETURN(const v1::Item item, reader_->ReadItem(ItemNumber{i}));
    if (Value(builder.Put(item)) != i) {
      return absl::DataLossError(absl::StrCat("snapshot item repeated: generation=", Value(generation()), " number=", i));
    }
  }
  catalogue_ = std::move(builder).Build();

  sessions_.emplace(reader_->sessions() != nullptr ? *reader_->sessions() : NoSessions().index(),
                    policy.session_neighbours);
  TRIBUTARY_ASSIGN_OR_RETURN(popular_, ReadPopular(kPopularOverall));
  popular_in_.resize(catalogue_->category_count());
  for (uint32_t c = 0; c < catalogue_->category_count(); ++c) {
    TRIBUTARY_ASSIGN_OR_RETURN(popular_in_[c],
                               ReadPopular(PopularCategoryScope(catalogue_->CategoryName(CategoryNumber{c}))));
  }

  TRIBUTARY_RETURN_IF_ERROR(reader_->ForEachPopular([this](absl::string_view scope, const v1::ScoredItems& list) {
    absl::string_view segment = scope;
    if (!absl::ConsumePrefix(&segment, kPopularSegmentPrefix)) {
      return absl::OkStatus();
    }
    TRIBUTARY_ASSIGN_OR_RETURN(popular_among_[segment], DecodePopular(scope, list));
    return absl::OkStatus();
  }));

  for (const v1::PartitionWatermark& entry : reader_->manifest().watermarks()) {
    const auto partition = static_cast<size_t>(entry.partition());
    if (watermarks_.size() <= partition) {
      watermarks_.resize(partition + 1);
      cut_counts_.resize(partition + 1);
    }
    watermarks_[partition] = Offset{entry.watermark()};
    v1::LiveCounts cut;
    const absl::Status found = reader_->FindCutCounts(PartitionId{entry.partition()}, &cut);
    if (absl::IsNotFound(found)) {
      continue;  // W lies at a segment's start, or nothing was counted before it.
    }
    TRIBUTARY_RETURN_IF_ERROR(found);
    TRIBUTARY_ASSIGN_OR_RETURN(cut_counts_[partition], SegmentCounts::FromProto(cut));
  }

  // Brings the mapped neighbour lists into memory before the first request wants them.
  uint32_t highest = 0;
  for (uint32_t i = 0; i < reader_->item_count(); ++i) {
    for (const ScoredItem& neighbour : reader_->Neighbours(ItemNumber{i})) {
      highest = std::max(highest, Value(neighbour.item));
    }
  }
  if (highest > 0 && highest >= reader_->item_count()) {
    return absl::DataLossError(absl::StrCat("snapshot neighbour out of range: generation=", Value(generation()),
                                            " number=", highest, " items=", reader_->item_count()));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ScoredItem>> LoadedSnapshot::ReadPopular(absl::string_view scope) const {
  v1::ScoredItems list;
  const absl::Status found = reader_->FindPopular(scope, &list);
  if (absl::IsNotFound(found)) {
    return std::vector<ScoredItem>();
  }
  TRIBUTARY_RETURN_IF_ERROR(found);
  return DecodePopular(scope, list);
}

absl::StatusOr<std::vector<ScoredItem>> LoadedSnapshot::DecodePopular(absl::string_view scope,
                                                                      const v1::ScoredItems& list) const {
  if (list.items_size() != list.scores_size()) {
    return absl::DataLossError(absl::StrCat("snapshot popularity list broken: generation=", Value(generation()),
                                            " scope=", scope, " items=", list.items_size(),
                                            " scores=", list.scores_size()));
  }
  std::vector<ScoredItem> items;
  items.reserve(list.items_size());
  for (int i = 0; i < list.items_size(); ++i) {
    if (list.items(i) >= reader_->item_count()) {
      return absl::DataLossError(absl::StrCat("snapshot popularity list out of range: generation=", Value(generation()),
                                              " scope=", scope, " number=", list.items(i)));
    }
    items.push_back({.item = ItemNumber{list.items(i)}, .score = list.scores(i)});
  }
  return items;
}

const SegmentCounts& LoadedSnapshot::CutCounts(PartitionId partition) const {
  static const SegmentCounts* const none = new SegmentCounts;
  const auto p = static_cast<size_t>(Value(partition));
  return p < cut_counts_.size() ? cut_counts_[p] : *none;
}

}  // namespace tributary::serving
