#include "tests/serving_layer/serving_world.h"

#include <glog/logging.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <thread>

#include "absl/strings/str_cat.h"

namespace tributary::serving {
namespace {

constexpr int kItems = 10;

}  // namespace

ServingWorld::ServingWorld() : config(DefaultConfig()) {
  config.mutable_storage()->set_snapshots_dir(dir_.path());
  config.mutable_kafka()->set_partitions(2);
  config.mutable_kafka()->set_segment_size(16);
  config.mutable_serving()->set_listen_address("127.0.0.1:0");
  config.mutable_serving()->set_snapshot_poll_ms(1);
  config.mutable_serving()->set_max_queue_ms(60'000);   // Machines that run tests are busy with other things too.
  CHECK(log.CreateTopics(TopicsToCreate(topics, config.kafka())).ok());
  producer_ = *log.OpenProducer();
}

v1::ViewPosition ServingWorld::Position(int64_t applied, int32_t generation, int64_t floor) {
  v1::ViewPosition position;
  position.set_applied_offset(applied);
  position.set_group_generation(generation);
  position.set_floor(floor);
  return position;
}

v1::Fact ServingWorld::FactOf(v1::EventType kind, const std::string& item_id, int64_t offset) const {
  v1::Fact fact;
  fact.set_kind(kind);
  fact.set_item_id(item_id);
  fact.set_offset(offset);
  fact.set_event_time_unix_ms(now_ms() - 60'000);
  fact.set_record_time_unix_ms(now_ms());
  return fact;
}

void ServingWorld::Put(const std::string& topic, const std::string& key, const std::string& value, int partition) {
  CHECK(producer_->Produce({.topic = topic, .partition = PartitionId{partition}, .key = key, .value = value, .headers = {}},
                           absl::Seconds(1))
            .ok());
}

void ServingWorld::PutView(int partition, const std::string& user_id, const v1::ViewPosition& position,
                           std::vector<v1::Fact> facts) {
  v1::SpeedView view;
  *view.mutable_position() = position;
  for (v1::Fact& fact : facts) {
    *(fact.kind() == v1::IMPRESSION ? view.add_impressions() : view.add_facts()) = std::move(fact);
  }
  Put(topics.speed_views, user_id, view.SerializeAsString(), partition);
}

void ServingWorld::PutTombstone(const std::string& topic, int partition, const std::string& key,
                                const v1::ViewPosition& position) {
  CHECK(producer_->Produce({.topic = topic,
                            .partition = PartitionId{partition},
                            .key = key,
                            .value = std::nullopt,
                            .headers = {{std::string(kPositionHeader), position.SerializeAsString()}}},
                           absl::Seconds(1))
            .ok());
}

void ServingWorld::PutTombstone(int partition, const std::string& user_id, const v1::ViewPosition& position) {
  PutTombstone(topics.speed_views, partition, user_id, position);
}

void ServingWorld::PutCountsTombstone(int partition, int64_t segment_start, const v1::ViewPosition& position) {
  PutTombstone(topics.live_counts, partition, absl::StrCat(segment_start), position);
}

void ServingWorld::FillEvents(int partition, int64_t offset) {
  if (partition >= *log.PartitionCount(topics.events)) {
    log.AddPartitions(topics.events, partition + 1);
  }
  const Offset end = log.Offsets({topics.events, PartitionId{partition}}, Isolation::kUncommitted)->end;
  for (int64_t at = Value(end); at < offset; ++at) {
    Put(topics.events, "somebody", "", partition);
  }
}

void ServingWorld::PutProgress(int partition, const v1::ViewPosition& position) {
  v1::Progress progress;
  *progress.mutable_position() = position;
  PutProgress(partition, progress);
}

void ServingWorld::PutProgress(int partition, const v1::Progress& progress) {
  FillEvents(partition, progress.position().applied_offset());
  Put(topics.speed_views, std::string(kProgressKey), progress.SerializeAsString(), partition);
}

void ServingWorld::PutCounts(int partition, int64_t segment_start, const v1::ViewPosition& position, int64_t purchases) {
  v1::LiveCounts counts;
  *counts.mutable_position() = position;
  counts.set_segment_start(segment_start);
  v1::CountDelta* delta = counts.add_deltas();
  delta->set_measure(v1::OVERALL);
  delta->set_type(v1::PURCHASE);
  delta->set_quarter_hour(7);
  delta->set_events(purchases);
  Put(topics.live_counts, absl::StrCat(segment_start), counts.SerializeAsString(), partition);
}

void ServingWorld::WriteSnapshot(int64_t generation, int64_t watermark, int64_t purchases, int64_t cut,
                                 const std::vector<std::pair<uint32_t, int64_t>>& bought_item_at_offset) {
  FillEvents(0, watermark);
  auto writer = *SnapshotWriter::Create(dir_.path(), Generation{generation});
  std::vector<v1::Item> items(kItems);
  v1::SnapshotUser ann;
  v1::ScoredItems tea;
  v1::ScoredItems toys;
  std::vector<std::vector<ScoredItem>> neighbours(kItems);
  for (int i = 0; i < kItems; ++i) {
    items[i].set_item_id(absl::StrCat("i", i));
    items[i].add_categories(i % 2 == 0 ? "tea" : "toys");
    ann.mutable_list()->add_items(i);
    ann.mutable_list()->add_scores(static_cast<float>(kItems - i));
    (i % 2 == 0 ? tea : toys).add_items(i);
    (i % 2 == 0 ? tea : toys).add_scores(static_cast<float>(kItems - i));
    neighbours[i].push_back({.item = ItemNumber{static_cast<uint32_t>((i + 1) % kItems)}, .score = 1});
  }
  for (const auto& [item, offset] : bought_item_at_offset) {
    v1::Profile* profile = ann.mutable_profile();
    profile->add_items(item);
    profile->add_kinds(v1::PURCHASE);
    profile->add_event_times_unix_ms(now_ms() - 60'000);
    profile->add_partitions(0);
    profile->add_offsets(offset);
    profile->add_values_micros(0);
  }
  CHECK(writer->WriteItems(items).ok());
  CHECK(writer->WriteNeighbours(neighbours).ok());
  CHECK(writer->PutUser("ann", ann).ok());
  CHECK(writer->PutPopular(kPopularOverall, ann.list()).ok());
  CHECK(writer->PutPopular(PopularCategoryScope("tea"), tea).ok());
  CHECK(writer->PutPopular(PopularCategoryScope("toys"), toys).ok());
  CHECK(writer->PutPopular(PopularSegmentScope("gold"), toys).ok());
  v1::CountTotal total;
  total.set_events(purchases);
  CHECK(writer->PutCount({.measure = v1::OVERALL, .key = "", .type = v1::PURCHASE}, total).ok());
  v1::LiveCounts cut_counts;
  if (cut > 0) {
    v1::CountDelta* delta = cut_counts.add_deltas();
    delta->set_measure(v1::OVERALL);
    delta->set_type(v1::PURCHASE);
    delta->set_quarter_hour(7);
    delta->set_events(cut);
  }
  for (const auto& [item, type, quarter_hour, events] : cut_items) {
    v1::CountDelta* delta = cut_counts.add_deltas();
    delta->set_measure(v1::BY_ITEM);
    delta->set_key(item);
    delta->set_type(type);
    delta->set_quarter_hour(quarter_hour);
    delta->set_events(events);
    delta->set_value_micros(10 * events);
  }
  CHECK(writer->PutCutCounts(PartitionId{0}, cut_counts).ok());
  v1::SnapshotManifest manifest;
  manifest.set_segment_size(16);
  if (factors) {
    constexpr int kDimensions = 2;
    std::vector<float> values;
    for (int i = 0; i < kItems; ++i) {
      values.push_back(static_cast<float>(std::cos(0.3 * i)));
      values.push_back(static_cast<float>(std::sin(0.3 * i)));
    }
    const std::vector<float> eigenvalues(kDimensions, 1);
    CHECK(writer->WriteFactors({.items = kItems,
                                .dimensions = kDimensions,
                                .unobserved_weight = 0.1F,
                                .regularization = 0.01F,
                                .regularization_exponent = 1,
                                .eigenvalues = eigenvalues,
                                .values = values})
              .ok());
    v1::FoldIn* const fold_in = manifest.mutable_fold_in();
    fold_in->set_list_length(4);
    v1::KindWeight* const views = fold_in->add_kind_weights();
    views->set_kind(v1::VIEW);
    views->set_weight(1);
  }
  if (popularity.half_life_days() > 0) {
    *manifest.mutable_popularity() = popularity;
  }
  if (counts_buckets) {
    manifest.add_more_measures(v1::BY_BUCKET);
  }
  manifest.set_events_topic(topics.events);
  manifest.mutable_created()->set_seconds(absl::ToUnixSeconds(clock.Now()));
  v1::PartitionWatermark* entry = manifest.add_watermarks();
  entry->set_partition(0);
  entry->set_watermark(watermark);
  const auto finished = writer->Finish(manifest);
  CHECK(finished.ok()) << finished.status();
}

void ServingWorld::Activate(int64_t generation) {
  const absl::Status status = SnapshotStore(dir_.path()).Activate(Generation{generation});
  CHECK(status.ok()) << status;
}

void Eventually(const std::function<bool()>& condition, const char* what) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "never came: " << what;
    std::this_thread::yield();
  }
}

}  // namespace tributary::serving
