#include "tests/common/snapshot/sample.h"

#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/status/status_macros.h"

namespace tributary::sample {
namespace {

constexpr int kCounts = 12;
constexpr int kPartitions = 3;

v1::ScoredItems List(int first) {
  v1::ScoredItems list;
  for (int i = 0; i < 3; ++i) {
    list.add_items((first + i) % kItems);
    list.add_scores(1.0f / static_cast<float>(i + 1));
  }
  return list;
}

std::vector<ScoredItem> NeighboursOf(int item) {
  std::vector<ScoredItem> list;
  for (int i = 0; i < item % 4; ++i) {   // Empty lists among them.
    list.push_back({ItemNumber{static_cast<uint32_t>((item + i + 1) % kItems)}, 0.5f / static_cast<float>(i + 1)});
  }
  return list;
}

v1::CountTotal Total(int count) {
  v1::CountTotal total;
  total.set_events(count);
  total.set_quantity_micros(count * int64_t{1'000'000});
  total.set_value_micros(count * int64_t{9'990'000});
  return total;
}

v1::LiveCounts Cut(int partition) {
  v1::LiveCounts counts;
  counts.set_segment_start(1024 * partition);
  v1::CountDelta* delta = counts.add_deltas();
  delta->set_measure(v1::OVERALL);
  delta->set_type(v1::VIEW);
  delta->set_quarter_hour(1'888'888);
  delta->set_events(partition + 1);
  return counts;
}

bool Same(const google::protobuf::Message& a, const google::protobuf::Message& b) {
  return google::protobuf::util::MessageDifferencer::Equals(a, b);
}

// Of a user who has list and profile.
v1::SnapshotUser ToProto(const StoredUser& stored) {
  v1::SnapshotUser user;
  for (const ScoredItem& scored : stored.list) {
    user.mutable_list()->add_items(Value(scored.item));
    user.mutable_list()->add_scores(scored.score);
  }
  stored.history.ToProto(user.mutable_profile());
  return user;
}

}  // namespace

std::string UserId(int user) { return absl::StrFormat("user-%06d", user); }

v1::Item ItemNumbered(int item) {
  v1::Item message;
  message.set_item_id(absl::StrCat("item-", item));
  message.set_title(absl::StrCat("Title of item ", item));
  message.add_categories(item % 2 == 0 ? "even" : "odd");
  message.set_price(1.5 * item);
  return message;
}

v1::SnapshotUser UserNumbered(int user) {
  v1::SnapshotUser message;
  *message.mutable_list() = List(user);
  v1::Profile* profile = message.mutable_profile();
  for (int i = 0; i < user % 5; ++i) {
    profile->add_items(i);
    profile->add_kinds(v1::PURCHASE);
    profile->add_event_times_unix_ms(1'600'000'000'000 + user);
    profile->add_partitions(i - 1);
    profile->add_offsets(user * 10 + i);
    profile->add_values_micros(i * int64_t{1'000'000});
  }
  return message;
}

CountKey CountNumbered(int count) {
  if (count == 0) {
    return {v1::OVERALL, "", v1::VIEW};
  }
  // Keys that are prefixes of one another, and one with the byte that ends a key.
  const std::string text = count % 2 == 0 ? std::string(static_cast<size_t>(count), 'a')
                                          : std::string(static_cast<size_t>(count), 'a') + std::string(1, '\0') + "b";
  return {v1::BY_PAGE, text, v1::VIEW};
}

v1::SnapshotManifest Manifest() {
  v1::SnapshotManifest manifest;
  for (int p = 0; p < kPartitions; ++p) {
    v1::PartitionWatermark* watermark = manifest.add_watermarks();
    watermark->set_partition(p);
    watermark->set_watermark(1024 * p + 100);
    watermark->set_record_time_unix_ms(1'600'000'000'000);
  }
  manifest.set_segment_size(1024);
  manifest.set_events_topic("events");
  manifest.set_items(kItems);
  manifest.set_seed(0xFFFF'FFFF'FFFF'FFFF);
  v1::QualityMetric* metric = manifest.add_metrics();
  metric->set_name("recall_at_20");
  metric->set_value(0.123456789012345678);
  return manifest;
}

SnapshotFactors ItemFactors() {
  constexpr int kDimensions = 3;
  static constexpr float kEigenvalues[kDimensions] = {0, 0.25f, 3};
  static const auto* const values = [] {
    auto* const made = new std::vector<float>;
    for (int i = 0; i < kItems * kDimensions; ++i) {
      made->push_back(0.125f * static_cast<float>(i - 8));
    }
    return made;
  }();
  return {.items = kItems,
          .dimensions = kDimensions,
          .unobserved_weight = 0.1f,
          .regularization = 0.005f,
          .regularization_exponent = 1,
          .eigenvalues = kEigenvalues,
          .values = *values};
}

SessionIndex Sessions() {
  static const auto* const arrays =
      new SessionIndexArrays(SessionIndexArrays::Build({{30, {0, 1, 4}}, {10, {1, 5}}, {20, {6, 1, 0}}}, kItems, 2));
  return arrays->index();
}

absl::Status Fill(SnapshotWriter& writer, int users) {
  std::vector<v1::Item> items;
  std::vector<std::vector<ScoredItem>> neighbours;
  for (int i = 0; i < kItems; ++i) {
    items.push_back(ItemNumbered(i));
    neighbours.push_back(NeighboursOf(i));
  }
  TRIBUTARY_RETURN_IF_ERROR(writer.WriteItems(items));
  TRIBUTARY_RETURN_IF_ERROR(writer.WriteNeighbours(neighbours));
  TRIBUTARY_RETURN_IF_ERROR(writer.WriteFactors(ItemFactors()));
  TRIBUTARY_RETURN_IF_ERROR(writer.WriteSessions(Sessions()));
  for (int user = 0; user < users; ++user) {
    TRIBUTARY_RETURN_IF_ERROR(writer.PutUser(UserId(user), UserNumbered(user)));
  }
  TRIBUTARY_RETURN_IF_ERROR(writer.PutPopular(kPopularOverall, List(1)));
  TRIBUTARY_RETURN_IF_ERROR(writer.PutPopular(PopularCategoryScope("even"), List(2)));
  for (int count = 0; count < kCounts; ++count) {
    TRIBUTARY_RETURN_IF_ERROR(writer.PutCount(CountNumbered(count), Total(count)));
  }
  for (int p = 0; p < kPartitions; ++p) {
    TRIBUTARY_RETURN_IF_ERROR(writer.PutCutCounts(PartitionId{p}, Cut(p)));
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::SnapshotManifest> Write(const std::string& snapshots_dir, Generation generation, int users,
                                           int64_t target_file_bytes) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<SnapshotWriter> writer,
                             SnapshotWriter::Create(snapshots_dir, generation, target_file_bytes));
  TRIBUTARY_RETURN_IF_ERROR(Fill(*writer, users));
  return writer->Finish(Manifest());
}

std::string Difference(const SnapshotReader& reader, int users) {
  if (reader.item_count() != kItems) {
    return "item_count";
  }
  for (int i = 0; i < kItems; ++i) {
    const ItemNumber number{static_cast<uint32_t>(i)};
    const absl::StatusOr<v1::Item> item = reader.ReadItem(number);
    if (!item.ok() || !Same(*item, ItemNumbered(i))) {
      return absl::StrCat("item ", i);
    }
    if (reader.Neighbours(number) != absl::MakeConstSpan(NeighboursOf(i))) {
      return absl::StrCat("neighbours of ", i);
    }
  }
  const SnapshotFactors* const factors = reader.factors();
  if ((factors != nullptr) != (reader.manifest().format_version() > 1)) {
    return "whether there are factors";
  }
  const SnapshotFactors wanted = ItemFactors();
  if (factors != nullptr &&
      (factors->items != wanted.items || factors->dimensions != wanted.dimensions ||
       factors->unobserved_weight != wanted.unobserved_weight || factors->regularization != wanted.regularization ||
       factors->regularization_exponent != wanted.regularization_exponent ||
       factors->eigenvalues != wanted.eigenvalues || factors->values != wanted.values)) {
    return "factors";
  }
  const SessionIndex* const sessions = reader.sessions();
  const SessionIndex all = Sessions();
  if ((sessions != nullptr) != (factors != nullptr) ||
      (sessions != nullptr &&
       (sessions->session_offsets != all.session_offsets ||
        sessions->session_times_unix_ms != all.session_times_unix_ms || sessions->session_items != all.session_items ||
        sessions->item_offsets != all.item_offsets || sessions->item_sessions != all.item_sessions ||
        sessions->item_counts != all.item_counts))) {
    return "sessions";
  }
  v1::SnapshotUser user;
  StoredUser stored;
  for (int u = 0; u < users; ++u) {
    if (!reader.FindUser(UserId(u), &user).ok() || !Same(user, UserNumbered(u))) {
      return UserId(u);
    }
    const absl::StatusOr<bool> read = reader.ReadUser(UserId(u), &stored);
    if (!read.ok() || !*read || !Same(ToProto(stored), UserNumbered(u))) {
      return absl::StrCat("for a request, ", UserId(u));
    }
  }
  v1::ScoredItems popular;
  if (!reader.FindPopular(kPopularOverall, &popular).ok() || !Same(popular, List(1)) ||
      !reader.FindPopular(PopularCategoryScope("even"), &popular).ok() || !Same(popular, List(2))) {
    return "popular";
  }
  v1::CountTotal total;
  for (int count = 0; count < kCounts; ++count) {
    if (!reader.FindCount(CountNumbered(count), &total).ok() || !Same(total, Total(count))) {
      return absl::StrCat("count ", count);
    }
  }
  v1::LiveCounts cut;
  for (int p = 0; p < kPartitions; ++p) {
    if (!reader.FindCutCounts(PartitionId{p}, &cut).ok() || !Same(cut, Cut(p))) {
      return absl::StrCat("cut counts of ", p);
    }
    if (reader.Watermark(PartitionId{p}) != Offset{1024 * p + 100}) {
      return absl::StrCat("watermark of ", p);
    }
  }
  return "";
}

}  // namespace tributary::sample
