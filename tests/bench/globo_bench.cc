// What freshness is worth: the clicks of a news site (Globo.com, data/README.md) replayed in event-time order; a
// twentieth of those of days 3 to 9 that continue a session are predicted from the session so far, from neighbours as
// they are at that moment (the live session index) and as they were at the last hourly, 6-hourly and daily batch. The
// visitor's own session is always as it is.
//
//   freshness/globo_live_...    Through Publish, Kafka, the speed layer and serving (globo_served.h). Peer: in process.
//   freshness/globo_batchN_...  In process: the index and the search that serving uses.
//
// Settings are of an earlier prototype, which looked for them on the test days; --validation (day 2, live, in process,
// which opens no click of the test days) was run afterwards and agrees on the half-life.
//
// --smoke takes a synthetic site.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/process/stop_signal.h"
#include "common/sessions/live_session_index.h"
#include "common/sessions/session_neighbours.h"
#include "tests/bench/globo_clicks.h"
#include "tests/bench/globo_served.h"
#include "tests/bench/report.h"
#include "tests/bench/top_n_split.h"

namespace tributary::bench {
namespace {

struct Replayed {
  Ranks ranks;
  double query_us = 0, update_us = 0;
};

std::string NameOf(int64_t batch_ms) {
  return batch_ms == 0 ? "now" : absl::StrFormat("each full %d h", batch_ms / kHourMs);
}

// Neighbours as of the last multiple of `batch_ms`; 0: of now.
Replayed Replay(const std::vector<Click>& clicks, int64_t batch_ms, const std::vector<bool>& chosen,
                const SessionNeighbourOptions& options) {
  const SessionIndexArrays none;
  LiveSessionIndex index({.memory_budget_bytes = int64_t{4} << 30, .sessions_per_item = options.recent_sessions},
                         none.index());
  const SessionNeighbours neighbours(none.index(), options);
  SessionNeighbours::Scratch scratch;
  absl::flat_hash_map<uint32_t, std::vector<std::pair<int64_t, uint32_t>>> sessions;  // So far: time, item.
  std::vector<uint32_t> waiting;                                                      // Sessions that the index lacks.
  Replayed replayed;
  absl::Duration asking, updating;
  int64_t updates = 0;
  const auto update = [&](uint32_t number) {
    LiveSessionIndex::Session session{.user = number + uint64_t{1}, .id = 1};
    const auto& so_far = sessions[number];
    for (size_t i = so_far.size(); i-- > 0 && session.items.size() < SessionIndexArrays::kLongestSession;) {
      if (std::find(session.items.begin(), session.items.end(), so_far[i].second) == session.items.end()) {
        session.items.push_back(so_far[i].second);
        session.item_times.push_back(so_far[i].first);
      }
    }
    if (session.items.size() < 2) return;
    std::reverse(session.items.begin(), session.items.end());
    std::reverse(session.item_times.begin(), session.item_times.end());
    session.time_unix_ms = session.item_times.back();
    const absl::Time begin = absl::Now();
    const uint64_t user = session.user;
    index.SetUser(user, {std::move(session)});
    updating += absl::Now() - begin;
    ++updates;
  };
  int64_t batch = 0;
  const auto last = static_cast<size_t>(std::find(chosen.rbegin(), chosen.rend(), true).base() - chosen.begin());
  for (size_t at = 0; at < last; ++at) {
    const Click& click = clicks[at];
    if (batch_ms > 0 && click.time_unix_ms / batch_ms > batch) {
      batch = click.time_unix_ms / batch_ms;
      for (const uint32_t number : waiting) update(number);
      waiting.clear();
      index.Reclaim();
    }
    auto& so_far = sessions[click.session];
    if (chosen[at]) {
      std::vector<uint32_t> items;
      for (const auto& [time, item] : so_far) items.push_back(item);
      const absl::Time begin = absl::Now();
      const absl::Span<const ScoredItem> next = neighbours.Next({.items = items,
                                                                 .now_unix_ms = click.time_unix_ms,
                                                                 .live = &index,
                                                                 .user = click.session + uint64_t{1},
                                                                 .session_time_unix_ms = so_far.back().first},
                                                                kListLength + items.size(), &scratch);
      asking += absl::Now() - begin;
      uint32_t rank = 0, found = 0;
      for (const ScoredItem& scored : next) {
        if (std::find(items.begin(), items.end(), Value(scored.item)) != items.end()) continue;  // Read.
        if (++rank > kListLength) break;
        if (Value(scored.item) == click.item) found = rank;
      }
      replayed.ranks.ranks.push_back(found);
    }
    so_far.emplace_back(click.time_unix_ms, click.item);
    if (batch_ms > 0) {
      waiting.push_back(click.session);
    } else {
      update(click.session);
    }
  }
  const auto places = static_cast<double>(std::max<size_t>(1, replayed.ranks.ranks.size()));
  replayed.query_us = absl::ToDoubleMicroseconds(asking) / places;
  replayed.update_us = absl::ToDoubleMicroseconds(updating) / static_cast<double>(std::max<int64_t>(1, updates));
  std::cerr << absl::StrFormat(
      "in process, %s: %.0f places, %.1f us a query, %.1f us an update, %d sessions, %.0f MB\n", NameOf(batch_ms),
      places, replayed.query_us, replayed.update_us, index.size(), static_cast<double>(index.bytes()) / 1e6);
  return replayed;
}

void PrintRow(const std::string& neighbours, const std::string& way, const Ranks& ranks) {
  std::cerr << absl::StrFormat("%-20s  %-40s  %.4f  %.4f\n", neighbours, way, ranks.HitRate(), ranks.Mrr());
}

void Run(const std::vector<Click>& clicks, int64_t last_day, const SessionNeighbourOptions& options) {
  const std::vector<bool> chosen = ChoosePlaces(clicks, {3, last_day});
  Report report("freshness");
  const auto add = [&](const std::string& name, const Ranks& ranks) {
    report.Add(absl::StrFormat("globo_%s_hr_at_20", name), ranks.HitRate(), "ratio");
    report.Add(absl::StrFormat("globo_%s_mrr_at_20", name), ranks.Mrr(), "ratio");
  };
  const Replayed live = Replay(clicks, 0, chosen, options);
  report.Add("globo_live_query_us", live.query_us, "us");
  report.Add("globo_live_update_us", live.update_us, "us");
  std::vector<std::pair<int64_t, Ranks>> batches;
  for (const auto& [name, batch_ms] : {std::pair("batch1h", kHourMs), {"batch6h", 6 * kHourMs}, {"batch24h", kDayMs}}) {
    batches.emplace_back(batch_ms, Replay(clicks, batch_ms, chosen, options).ranks);
    add(name, batches.back().second);
  }
  const Ranks served = ReplayServed(clicks, chosen, options);
  const Ranks& alone = live.ranks;
  report.Add("globo_live_hr_at_20", served.HitRate(), "ratio", "in_process", alone.HitRate());
  report.Add("globo_live_mrr_at_20", served.Mrr(), "ratio", "in_process", alone.Mrr());

  int64_t same = 0, only_served = 0, only_alone = 0;
  for (size_t i = 0; i < served.ranks.size(); ++i) {
    same += served.ranks[i] == alone.ranks[i] ? 1 : 0;
    only_served += served.ranks[i] > 0 && alone.ranks[i] == 0 ? 1 : 0;
    only_alone += served.ranks[i] == 0 && alone.ranks[i] > 0 ? 1 : 0;
  }
  std::cerr << absl::StrFormat(
      "of %d places %d have the same rank served as in process; %d are hit served alone, %d in "
      "process alone\n\n%-20s  %-40s  %6s  %6s\n",
      served.ranks.size(), same, only_served, only_alone, "neighbours as of", "measured", "HR@20", "MRR@20");
  PrintRow(NameOf(0), "through Kafka, speed layer and serving", served);
  PrintRow(NameOf(0), "in process", alone);
  for (const auto& [batch_ms, ranks] : batches) PrintRow(NameOf(batch_ms), "in process", ranks);
}

}  // namespace
}  // namespace tributary::bench

int main(int argc, char** argv) {
  using namespace tributary::bench;
  tributary::InitLogging(argv[0]);
  bool smoke = false, validation = false;
  int64_t last_day = 9;
  tributary::SessionNeighbourOptions options;
  options.session_half_life_seconds = 7'200;
  options.last_items = 2;
  options.neighbours = 500;
  CLI::App app("What freshness is worth on a news site.");
  app.add_flag("--validation", validation, "On days 1 and 2, live alone");
  app.add_option("--last-day", last_day, "Of those that are predicted")->check(CLI::Range(3, 9))->capture_default_str();
  app.add_option("-m", options.recent_sessions)->capture_default_str();
  app.add_option("-k", options.neighbours)->capture_default_str();
  app.add_option("-l", options.last_items)->capture_default_str();
  app.add_flag("--by-length", options.by_length);
  app.add_option("--item-half-life", options.item_half_life_places)->capture_default_str();
  app.add_option("--session-half-life", options.session_half_life_seconds)->capture_default_str();
  app.add_option("--idf", options.by_idf)->capture_default_str();
  app.add_flag("--smoke", smoke, "A short run on a synthetic site");
  CLI11_PARSE(app, argc, argv);
  const std::vector<Click> clicks = smoke ? SyntheticNews() : ReadGlobo();
  if (validation) {
    const Ranks ranks = Replay(clicks, 0, ChoosePlaces(clicks, {2, 2}), options).ranks;
    PrintRow("now", "in process, day 2", ranks);
    return 0;
  }
  Run(clicks, last_day, options);
  return 0;
}
