#include "common/snapshot/measure.h"

#include <xxhash.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "common/status/status_macros.h"

namespace tributary {
namespace {

double Share(int64_t part, int64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

int Depth(const v1::ScoredItems& list) { return std::min(list.items_size(), kMeasuredDepth); }

// Dense numbers differ from snapshot to snapshot, ids do not.
absl::StatusOr<std::vector<std::string>> FirstItems(const SnapshotReader& reader, const v1::ScoredItems& list) {
  std::vector<std::string> ids;
  for (int i = 0; i < Depth(list); ++i) {
    TRIBUTARY_ASSIGN_OR_RETURN(v1::Item item, reader.ReadItem(ItemNumber{list.items(i)}));
    ids.push_back(std::move(*item.mutable_item_id()));
  }
  return ids;
}

class MeanChurn {
 public:
  MeanChurn(const SnapshotReader& after, const SnapshotReader& before) : after_(after), before_(before) {}

  // Where nothing was, nothing can go.
  absl::Status Add(const v1::ScoredItems& now, const v1::ScoredItems& then) {
    if (then.items().empty()) {
      return absl::OkStatus();
    }
    TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<std::string> first, FirstItems(after_, now));
    TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<std::string> old, FirstItems(before_, then));
    const absl::flat_hash_set<std::string> there(first.begin(), first.end());
    const auto gone = std::count_if(old.begin(), old.end(), [&](const auto& id) { return !there.contains(id); });
    sum_ += static_cast<double>(gone) / static_cast<double>(old.size());
    ++lists_;
    return absl::OkStatus();
  }
  double mean() const { return lists_ == 0 ? std::numeric_limits<double>::quiet_NaN() : sum_ / lists_; }

 private:
  const SnapshotReader& after_;
  const SnapshotReader& before_;
  double sum_ = 0;
  int lists_ = 0;
};

// Fine when there is none.
absl::StatusOr<v1::ScoredItems> Popular(const SnapshotReader& reader) {
  v1::ScoredItems items;
  const absl::Status status = reader.FindPopular(kPopularOverall, &items);
  if (!status.ok() && !absl::IsNotFound(status)) {
    return status;
  }
  return items;
}

}  // namespace

absl::StatusOr<SnapshotMeasures> MeasureSnapshot(const SnapshotReader& reader) {
  const v1::SnapshotManifest& manifest = reader.manifest();
  SnapshotMeasures measures;
  measures.generation = manifest.generation();
  measures.events = manifest.events();
  measures.users = manifest.users();
  measures.items = manifest.items();
  for (const v1::SnapshotFile& file : manifest.files()) {
    measures.size_bytes += file.size_bytes();
  }
  for (const v1::QualityMetric& metric : manifest.metrics()) {
    if (metric.model().empty()) {
      measures.metrics[metric.name()] = metric.value();
    }
  }
  for (const v1::PartitionWatermark& watermark : manifest.watermarks()) {
    measures.watermarks[PartitionId{watermark.partition()}] = Offset{watermark.watermark()};
  }
  std::vector<bool> listed(reader.item_count());
  TRIBUTARY_RETURN_IF_ERROR(reader.ForEachUser([&](absl::string_view, const v1::SnapshotUser& user) {
    if (user.has_list()) {
      ++(user.list().items().empty() ? measures.empty_lists : measures.listed_users);
      for (int i = 0; i < Depth(user.list()); ++i) {
        if (user.list().items(i) < listed.size()) {
          listed[user.list().items(i)] = true;
        }
      }
    }
    return absl::OkStatus();
  }));
  measures.listed_items = std::count(listed.begin(), listed.end(), true);
  TRIBUTARY_ASSIGN_OR_RETURN(const v1::ScoredItems popular, Popular(reader));
  measures.popular_items = popular.items_size();
  return measures;
}

double SnapshotMeasures::user_coverage() const { return Share(listed_users, users); }
double SnapshotMeasures::item_coverage() const { return Share(listed_items, items); }
double SnapshotMeasures::empty_list_rate() const { return Share(empty_lists, empty_lists + listed_users); }

absl::StatusOr<Churn> MeasureChurn(const SnapshotReader& after, const SnapshotReader& before) {
  const auto one_of = static_cast<uint64_t>(std::max<int64_t>(1, after.manifest().users() / kChurnUsers));
  MeanChurn lists(after, before);
  const auto add = [&](absl::string_view user_id, const v1::SnapshotUser& user) -> absl::Status {
    if (XXH64(user_id.data(), user_id.size(), 0) % one_of != 0) {
      return absl::OkStatus();
    }
    v1::SnapshotUser then;
    const absl::Status found = before.FindUser(user_id, &then);
    if (absl::IsNotFound(found)) {
      return absl::OkStatus();
    }
    TRIBUTARY_RETURN_IF_ERROR(found);
    return lists.Add(user.list(), then.list());
  };
  TRIBUTARY_RETURN_IF_ERROR(after.ForEachUser(add));
  MeanChurn popular(after, before);
  TRIBUTARY_ASSIGN_OR_RETURN(const v1::ScoredItems popular_now, Popular(after));
  TRIBUTARY_ASSIGN_OR_RETURN(const v1::ScoredItems popular_then, Popular(before));
  TRIBUTARY_RETURN_IF_ERROR(popular.Add(popular_now, popular_then));
  return Churn{.lists = lists.mean(), .popular = popular.mean()};
}

}  // namespace tributary
