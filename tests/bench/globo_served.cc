#include "tests/bench/globo_served.h"

#include <glog/logging.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "tests/bench/enqueue.h"
#include "tests/bench/process_usage.h"
#include "tests/bench/statistics.h"
#include "tests/bench/top_n_split.h"
#include "tests/integration/installation.h"

namespace tributary::bench {
namespace {

constexpr int64_t kReplayedSpanMs = 20 * kHourMs;

std::string ItemId(uint32_t item) { return absl::StrCat("article-", item); }
std::string UserId(uint32_t user) { return absl::StrCat("reader-", user); }

// Where the times of a log that has passed are laid.
class Times {
 public:
  Times(const std::vector<Click>& clicks, absl::Time end)
      : first_unix_ms_(clicks.front().time_unix_ms),
        begin_unix_ms_(absl::ToUnixMillis(end) - kReplayedSpanMs),
        pace_(static_cast<double>(clicks.back().time_unix_ms - first_unix_ms_) / kReplayedSpanMs) {}

  double pace() const { return pace_; }  // Times as fast as it was.
  int64_t Of(const Click& click) const {
    return begin_unix_ms_ + static_cast<int64_t>(static_cast<double>(click.time_unix_ms - first_unix_ms_) / pace_);
  }

 private:
  const int64_t first_unix_ms_;
  const int64_t begin_unix_ms_;
  const double pace_;
};

void PutArticles(const std::vector<Click>& clicks, integration::Installation& installation) {
  uint32_t items = 0;
  for (const Click& click : clicks) items = std::max(items, click.item + 1);
  auto producer = installation.log().OpenProducer();
  CHECK(producer.ok()) << producer.status();
  for (uint32_t i = 0; i < items; ++i) {
    v1::Item item;
    item.set_item_id(ItemId(i));
    Enqueue(**producer,
            {.topic = installation.topic("items"), .key = item.item_id(), .value = item.SerializeAsString()});
  }
  CHECK((*producer)->Flush(absl::Seconds(30)).ok());
}

// Where the last one lies; nothing when there are none.
v1::FreshnessToken Publish(absl::Span<const Click> clicks, const Times& times,
                           integration::Installation& installation) {
  grpc::ClientContext context;
  v1::PublishStreamResponse response;
  const auto stream = installation.events().PublishStream(&context, &response);
  v1::PublishStreamRequest request;
  v1::Event& event = *request.mutable_event();
  event.set_type(v1::CLICK);
  for (const Click& click : clicks) {
    event.set_user_id(UserId(click.user));
    event.set_session_id(absl::StrCat(click.session));
    event.set_item_id(ItemId(click.item));
    const int64_t time_unix_ms = times.Of(click);
    event.mutable_event_time()->set_seconds(time_unix_ms / 1000);
    event.mutable_event_time()->set_nanos(static_cast<int32_t>(time_unix_ms % 1000) * 1'000'000);
    if (!stream->Write(request)) break;
  }
  stream->WritesDone();
  const grpc::Status status = stream->Finish();
  CHECK(status.ok()) << status.error_message();
  CHECK_EQ(response.accepted(), static_cast<int64_t>(clicks.size()));
  CHECK_EQ(response.tokens_size(), 1) << "one partition: what is visible up to the last click is visible";
  return response.tokens(0);
}

// From 1; 0: not in the list.
uint32_t RankOf(const Click& next, const v1::RecommendResponse& response, bool* by_session) {
  for (int i = 0; i < response.items_size(); ++i) {
    const v1::RecommendedItem& item = response.items(i);
    if (item.item_id() == ItemId(next.item)) {
      *by_session = std::any_of(item.reasons().begin(), item.reasons().end(),
                                [](const v1::Reason& reason) { return reason.source() == v1::SESSION; });
      return static_cast<uint32_t>(i + 1);
    }
  }
  return 0;
}

}  // namespace

Ranks ReplayServed(const std::vector<Click>& clicks, const std::vector<bool>& chosen, SessionNeighbourOptions options) {
  integration::Installation installation("globo", /*partitions=*/1, /*checkpoint_ms=*/200, /*segment_size=*/1024);
  PutArticles(clicks, installation);
  const integration::Finished ran =
      installation.Run("tributary-batch", {"--config", installation.config_path(), "run"});
  CHECK_EQ(ran.exit_status, 0) << ran.output;
  const absl::Time begin = absl::Now();
  const Times times(clicks, begin);
  const auto serving = installation.StartServing(
      {"--set", "serving { live_sessions_bytes: 1073741824 max_queue_ms: 60000 }", "--set",
       absl::StrFormat("merge { session_neighbours { recent_sessions: %d neighbours: %d last_items: %d by_length: %d "
                       "session_half_life_seconds: %g item_half_life_places: %g by_idf: %d } }",
                       options.recent_sessions, options.neighbours, options.last_items, options.by_length,
                       options.session_half_life_seconds / times.pace(), options.item_half_life_places,
                       options.by_idf)});
  const auto speed = installation.StartSpeed();
  installation.AwaitGeneration(1);

  Ranks replay;
  std::vector<absl::Duration> took;
  int64_t by_other_sources = 0;
  absl::flat_hash_map<uint32_t, std::vector<uint32_t>> read;  // By session.
  size_t published = 0;
  for (size_t i = 0; i < clicks.size(); ++i) {
    const Click& click = clicks[i];
    if (chosen[i]) {
      const v1::FreshnessToken token =
          Publish(absl::MakeSpan(clicks).subspan(published, i - published), times, installation);
      published = i;
      const absl::Time asked = absl::Now();
      v1::RecommendRequest request;
      request.set_user_id(UserId(click.user));
      request.set_limit(kListLength);
      for (const uint32_t item : read[click.session]) request.mutable_filter()->add_exclude_items(ItemId(item));
      *request.mutable_min_freshness() = token;
      request.mutable_max_wait()->set_seconds(10);
      grpc::ClientContext context;
      v1::RecommendResponse response;
      const grpc::Status status = installation.recommendations().Recommend(&context, request, &response);
      CHECK(status.ok()) << status.error_message();
      for (const int degradation : response.freshness().degraded()) {
        CHECK_NE(degradation, v1::FRESHNESS_NOT_REACHED) << "click " << i;
      }
      took.push_back(absl::Now() - asked);
      bool by_session = false;
      replay.ranks.push_back(RankOf(click, response, &by_session));
      by_other_sources += replay.ranks.back() > 0 && !by_session ? 1 : 0;
    }
    read[click.session].push_back(click.item);
  }
  const absl::Time predicted = absl::Now();
  const v1::FreshnessToken last = Publish(absl::MakeSpan(clicks).subspan(published), times, installation);
  installation.RecommendAfter(last, UserId(clicks.back().user));
  std::cerr << absl::StrFormat(
      "served: %d clicks through Kafka, time %.1f times as fast; %d places in %.0f s, of each the wait for the last "
      "click before it and the answer %.1f ms, p99 %.1f; the other %d clicks visible after %.0f s; %d hits by other "
      "sources than the session; in the end serving holds %.0f MB, the speed layer %.0f MB\n",
      clicks.size(), times.pace(), replay.ranks.size(), absl::ToDoubleSeconds(predicted - begin),
      MillisecondsWithin(took, 0.5), MillisecondsWithin(took, 0.99), clicks.size() - published,
      absl::ToDoubleSeconds(absl::Now() - predicted), by_other_sources,
      static_cast<double>(ResidentBytes(serving->pid())) / 1e6, static_cast<double>(ResidentBytes(speed->pid())) / 1e6);
  return replay;
}

}  // namespace tributary::bench
