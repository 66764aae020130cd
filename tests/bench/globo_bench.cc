// What freshness is worth: the clicks of a news site (Globo.com, data/README.md) replayed in event-time order; a
// twentieth of those of days 3 to 9 that continue a session are predicted from the session so far, from neighbours as
// they are at that moment (the live session index) and as they were at the last hourly, 6-hourly and daily batch. The
// visitor's own session is always as it is. In process: the index and the search that serving uses.
//
// Settings are of an earlier prototype, which looked for them on the test days; --validation (day 2, live,
// which opens no click of the test days) was run afterwards and agrees on the half-life.
//
// --smoke takes a synthetic site.
#include <glog/logging.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/sessions/live_session_index.h"
#include "common/sessions/session_neighbours.h"
#include "tests/bench/report.h"
#include "tests/bench/top_n_split.h"

namespace tributary::bench {
namespace {

constexpr int64_t kHourMs = 3'600'000;
constexpr int64_t kDayMs = 24 * kHourMs;

struct Click {
  int64_t time_unix_ms = 0;
  uint32_t session = 0;
  uint32_t item = 0;
};

std::vector<Click> ReadClicks() {
  const std::string text = ReadData("globo/clicks.csv.zst");
  absl::flat_hash_map<absl::string_view, uint32_t> sessions, items;
  std::vector<Click> clicks;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ',');
    Click click;
    if (!absl::SimpleAtoi(fields[5], &click.time_unix_ms)) continue;   // The header.
    click.session = sessions.try_emplace(fields[1], static_cast<uint32_t>(sessions.size())).first->second;
    click.item = items.try_emplace(fields[4], static_cast<uint32_t>(items.size())).first->second;
    clicks.push_back(click);
  }
  return clicks;
}

// Ten days of a site whose articles live for a day and a half.
std::vector<Click> Synthetic() {
  std::mt19937_64 random(1);
  std::vector<Click> clicks;
  for (uint32_t s = 0; s < 8'000; ++s) {
    const int64_t begin = static_cast<int64_t>(random() % static_cast<uint64_t>(10 * kDayMs));
    for (uint32_t i = 0; i < 2 + s % 4; ++i) {
      const int64_t time = begin + i * int64_t{30'000};
      clicks.push_back({time, s, static_cast<uint32_t>(time / (36 * kHourMs) * 20 + static_cast<int64_t>(random() % 20))});
    }
  }
  std::stable_sort(clicks.begin(), clicks.end(),
                   [](const Click& a, const Click& b) { return a.time_unix_ms < b.time_unix_ms; });
  return clicks;
}

struct Days {
  int64_t first = 0, last = 0;   // From 1.
};

struct Figures {
  double hit_rate = 0, mrr = 0;
  int64_t places = 0;
  double query_us = 0, update_us = 0;
};

// Neighbours as of the last multiple of `batch_ms`; 0: of now.
Figures Replay(const std::vector<Click>& clicks, int64_t batch_ms, const Days& days, const SessionNeighbourOptions& options) {
  const SessionIndexArrays none;
  LiveSessionIndex index({.memory_budget_bytes = int64_t{4} << 30, .sessions_per_item = options.recent_sessions},
                         none.index());
  const SessionNeighbours neighbours(none.index(), options);
  SessionNeighbours::Scratch scratch;
  absl::flat_hash_map<uint32_t, std::vector<std::pair<int64_t, uint32_t>>> sessions;   // So far: time, item.
  std::vector<uint32_t> waiting;                                                     // Sessions that the index lacks.
  Figures figures;
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
  std::mt19937_64 random(1);
  const int64_t start = clicks.front().time_unix_ms;
  int64_t batch = 0;
  for (const Click& click : clicks) {
    const int64_t day = (click.time_unix_ms - start) / kDayMs + 1;
    if (day > days.last) break;
    if (batch_ms > 0 && click.time_unix_ms / batch_ms > batch) {
      batch = click.time_unix_ms / batch_ms;
      for (const uint32_t number : waiting) update(number);
      waiting.clear();
      index.Reclaim();
    }
    auto& so_far = sessions[click.session];
    const bool asked = day >= days.first && !so_far.empty() && random() % 20 == 0;
    if (asked) {
      std::vector<uint32_t> items;
      for (const auto& [time, item] : so_far) items.push_back(item);
      const absl::Time begin = absl::Now();
      const absl::Span<const ScoredItem> next =
          neighbours.Next({.items = items,
                           .now_unix_ms = click.time_unix_ms,
                           .live = &index,
                           .user = click.session + uint64_t{1},
                           .session_time_unix_ms = so_far.back().first},
                          kListLength + items.size(), &scratch);
      asking += absl::Now() - begin;
      ++figures.places;
      size_t rank = 0;
      for (const ScoredItem& scored : next) {
        if (std::find(items.begin(), items.end(), Value(scored.item)) != items.end()) continue;   // Read.
        if (++rank > kListLength) break;
        if (Value(scored.item) == click.item) {
          figures.hit_rate += 1;
          figures.mrr += 1 / static_cast<double>(rank);
        }
      }
    }
    so_far.emplace_back(click.time_unix_ms, click.item);
    if (batch_ms > 0) {
      waiting.push_back(click.session);
    } else {
      update(click.session);
    }
  }
  const auto places = static_cast<double>(std::max<int64_t>(1, figures.places));
  figures.hit_rate /= places;
  figures.mrr /= places;
  figures.query_us = absl::ToDoubleMicroseconds(asking) / places;
  figures.update_us = absl::ToDoubleMicroseconds(updating) / static_cast<double>(std::max<int64_t>(1, updates));
  std::cerr << absl::StrFormat("neighbours as of %-14s HR@20 %.4f MRR@20 %.4f  (%d places, %.1f us a query, %.1f us an "
                               "update, %d sessions, %.0f MB)\n",
                               batch_ms == 0 ? "now" : absl::StrFormat("every %d h", batch_ms / kHourMs), figures.hit_rate,
                               figures.mrr, figures.places, figures.query_us, figures.update_us, index.size(),
                               static_cast<double>(index.bytes()) / 1e6);
  return figures;
}

}  // namespace
}  // namespace tributary::bench

int main(int argc, char** argv) {
  using namespace tributary::bench;
  google::InitGoogleLogging(argv[0]);
  bool smoke = false, validation = false;
  tributary::SessionNeighbourOptions options;
  options.session_half_life_seconds = 7'200;
  options.last_items = 2;
  options.neighbours = 500;
  CLI::App app("What freshness is worth on a news site.");
  app.add_flag("--validation", validation, "On days 1 and 2, live alone");
  app.add_option("-m", options.recent_sessions)->capture_default_str();
  app.add_option("-k", options.neighbours)->capture_default_str();
  app.add_option("-l", options.last_items)->capture_default_str();
  app.add_flag("--by-length", options.by_length);
  app.add_option("--item-half-life", options.item_half_life_places)->capture_default_str();
  app.add_option("--session-half-life", options.session_half_life_seconds)->capture_default_str();
  app.add_option("--idf", options.by_idf)->capture_default_str();
  app.add_flag("--smoke", smoke, "A short run on a synthetic site");
  CLI11_PARSE(app, argc, argv);
  const std::vector<Click> clicks = smoke ? Synthetic() : ReadClicks();
  if (validation) {
    Replay(clicks, 0, {2, 2}, options);
    return 0;
  }
  Report report("freshness");
  for (const auto& [name, batch_ms] :
       {std::pair("live", int64_t{0}), {"batch1h", kHourMs}, {"batch6h", 6 * kHourMs}, {"batch24h", kDayMs}}) {
    const Figures figures = Replay(clicks, batch_ms, {3, 9}, options);
    report.Add(absl::StrFormat("globo_%s_hr_at_20", name), figures.hit_rate, "ratio");
    report.Add(absl::StrFormat("globo_%s_mrr_at_20", name), figures.mrr, "ratio");
    if (batch_ms == 0) {
      report.Add("globo_live_query_us", figures.query_us, "us");
      report.Add("globo_live_update_us", figures.update_us, "us");
    }
  }
  return 0;
}
