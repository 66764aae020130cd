// Session neighbours (common/sessions) on public sets: for each place of each test session but the first, is the item
// that came next among the first 20, and how far up? Beside what Serenade publishes for its example, and popularity. m,
// k and L are Serenade's; what V-STAN adds was chosen by --validation, which opens no test part (HR@20 / MRR@20):
//
//   item half-life, places       0             1             2             4             8
//   serenade-example       .6682 / .3246 .6771 / .3605 .6842 / .3536 .6806 / .3474 .6771 / .3431
//   rsc15-100k             .3955 / .1797 .4026 / .1803 .4039 / .1817 .4037 / .1816 .4021 / .1819
//   and by length                                      .6789 / .3438  .4014 / .1805
//
// --smoke takes small synthetic sessions.
#include <glog/logging.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/sessions/session_neighbours.h"
#include "tests/bench/report.h"
#include "tests/bench/session_sets.h"
#include "tests/bench/top_n_split.h"

namespace tributary::bench {
namespace {

struct Set {
  std::string name;         // Its metrics are sessions/NAME_hr_at_20 and so on.
  std::string train, test;  // Below TRIBUTARY_DATA: TSV with the header SessionId ItemId Time (seconds).
  std::string validation_train, validation;
  bool yoochoose = false;   // Read otherwise.
  size_t list_length = kListLength;
  SessionNeighbourOptions options;
  std::string peer;
  double peer_hit_rate = 0;
  double peer_mrr = 0;
  double peer_query_us = 0;
};

// Settings and figures of the README's tuning and evaluation runs (bolcom/serenade, commit a142ab8).
std::vector<Set> PublicSets() {
  return {{.name = "serenade",
           .train = "serenade-example/train.txt.zst",
           .test = "serenade-example/test.txt",
           .validation_train = "serenade-example/train.txt.zst",
           .validation = "serenade-example/valid.txt",
           .options = {.recent_sessions = 1502, .neighbours = 288, .last_items = 4},
           .peer = "Serenade",
           .peer_hit_rate = 0.6649,
           .peer_mrr = 0.3401},
          {.name = "rsc15",
           .train = "rsc15-100k/yoochoose-clicks-100k_train_full.txt.zst",
           .test = "rsc15-100k/yoochoose-clicks-100k_test.txt.zst",
           .validation_train = "rsc15-100k/yoochoose-clicks-100k_train_tr.txt.zst",
           .validation = "rsc15-100k/yoochoose-clicks-100k_train_valid.txt.zst",
           .options = {.recent_sessions = 1502, .neighbours = 288, .last_items = 4},
           .peer = "",
           .peer_hit_rate = 0,
           .peer_mrr = 0},
          {.name = "yoochoose",
           .yoochoose = true,
           .list_length = 21,
           .options = {.recent_sessions = 1000, .neighbours = 200, .last_items = 4},
           .peer = "Serenade",
           .peer_hit_rate = 0.485,
           .peer_mrr = 0.204,
           .peer_query_us = 138}};
}

void Run(const Set& set, std::vector<PastSession> train, const std::vector<PastSession>& test, uint32_t items,
         Report* report) {
  const absl::Time begin = absl::Now();
  const SessionIndexArrays arrays = SessionIndexArrays::Build(std::move(train), items, set.options.recent_sessions);
  const absl::Duration building = absl::Now() - begin;
  const SessionIndex index = arrays.index();
  std::vector<ScoredItem> popular;
  for (uint32_t item = 0; item < items; ++item) {
    popular.push_back({ItemNumber{item}, static_cast<float>(index.item_counts[item])});
  }
  std::stable_sort(popular.begin(), popular.end(), [](const auto& a, const auto& b) { return a.score > b.score; });

  // The same sessions again, as if all had come since the last batch: what a search over the live index costs.
  const SessionIndexArrays none;
  LiveSessionIndex live({.memory_budget_bytes = int64_t{4} << 30, .sessions_per_item = set.options.recent_sessions},
                        none.index());
  for (uint32_t s = 0; s < index.sessions(); ++s) {
    LiveSessionIndex::Session session{.user = s + uint64_t{1}, .id = 1, .time_unix_ms = index.session_times_unix_ms[s]};
    session.items.assign(index.ItemsOf(s).begin(), index.ItemsOf(s).end());
    session.item_times.assign(session.items.size(), session.time_unix_ms);
    live.SetUser(session.user, {session});
  }
  const SessionNeighbours stored_neighbours(index, set.options), live_neighbours(none.index(), set.options);
  SessionNeighbours::Scratch stored_scratch, live_scratch;
  SessionQuality ours, popularity, of_live;
  std::vector<double> stored_us, live_us;
  const auto ask = [&](const SessionNeighbours& neighbours, const LiveSessionIndex* beside, const PastSession& session,
                       size_t i, SessionNeighbours::Scratch* scratch, std::vector<double>* times, SessionQuality* quality) {
    const absl::Time asked = absl::Now();
    // One more than is looked at: the item that is on show now is not what comes next.
    const absl::Span<const ScoredItem> next =
        neighbours.Next({.items = absl::MakeConstSpan(session.items).first(i),
                         .now_unix_ms = session.time_unix_ms,
                         .live = beside},
                        set.list_length + 1, scratch);
    times->push_back(absl::ToDoubleMicroseconds(absl::Now() - asked));
    std::vector<ScoredItem> list(next.begin(), next.end());
    list.erase(std::remove_if(list.begin(), list.end(),
                              [&](const ScoredItem& scored) { return Value(scored.item) == session.items[i - 1]; }),
               list.end());
    quality->Add(list, session.items[i], set.list_length);
  };
  for (const PastSession& session : test) {
    for (size_t i = 1; i < session.items.size(); ++i) {
      ask(stored_neighbours, nullptr, session, i, &stored_scratch, &stored_us, &ours);
      popularity.Add(popular, session.items[i], set.list_length);
    }
  }
  for (const PastSession& session : test) {
    for (size_t i = 1; i < session.items.size(); ++i) {
      ask(live_neighbours, &live, session, i, &live_scratch, &live_us, &of_live);
    }
  }
  ours.Finish();
  popularity.Finish();
  of_live.Finish();
  const auto summary = [](std::vector<double> times) {
    double sum = 0;
    for (const double time : times) sum += time;
    std::sort(times.begin(), times.end());
    return std::pair(sum / static_cast<double>(times.size()), times[times.size() * 9 / 10]);
  };
  const auto [stored_mean, stored_p90] = summary(stored_us);
  const auto [live_mean, live_p90] = summary(live_us);
  std::cerr << absl::StrFormat(
      "%s: %d places: HR@%d %.4f MRR %.4f (all live: %.4f %.4f), popularity %.4f %.4f; %d sessions, built in %s; a query "
      "%.1f us, p90 %.1f; all live %.1f us, p90 %.1f\n",
      set.name, ours.places, set.list_length, ours.hit_rate, ours.mrr, of_live.hit_rate, of_live.mrr, popularity.hit_rate,
      popularity.mrr, index.sessions(), absl::FormatDuration(building), stored_mean, stored_p90, live_mean, live_p90);
  const std::string prefix = absl::StrCat("sessions/", set.name);
  report->Add(absl::StrCat(prefix, "_hr_at_", set.list_length), ours.hit_rate, "ratio", set.peer, set.peer_hit_rate);
  report->Add(absl::StrCat(prefix, "_mrr_at_", set.list_length), ours.mrr, "ratio", set.peer, set.peer_mrr);
  const std::string query_peer = set.peer_query_us > 0 ? set.peer : "";
  report->Add(absl::StrCat(prefix, "_query_us"), stored_mean, "us", query_peer, set.peer_query_us);
  report->Add(absl::StrCat(prefix, "_live_query_us"), live_mean, "us", query_peer, set.peer_query_us);
}

}  // namespace
}  // namespace tributary::bench

int main(int argc, char** argv) {
  using namespace tributary::bench;
  google::InitGoogleLogging(argv[0]);
  bool smoke = false, validation = false, by_length = false;
  double item_half_life = tributary::SessionNeighbourOptions().item_half_life_places, session_half_life = 0;
  size_t m = 0, k = 0, l = 0;
  std::string only;
  CLI::App app("Quality and speed of session neighbours.");
  app.add_option("--only", only, "One set: serenade, rsc15, yoochoose");
  app.add_option("-m", m, "Of yoochoose");
  app.add_option("-k", k, "Of yoochoose");
  app.add_option("-l", l, "Of yoochoose");
  app.add_flag("--validation", validation, "On the sets' validation parts; opens no test part");
  app.add_flag("--by-length", by_length);
  app.add_option("--item-half-life", item_half_life, "In places; 0: distance does not count")->capture_default_str();
  app.add_option("--session-half-life", session_half_life, "In seconds; 0: age does not count")->capture_default_str();
  app.add_flag("--smoke", smoke, "A short run on synthetic sessions");
  CLI11_PARSE(app, argc, argv);
  Report report("sessions");
  if (smoke) {
    Run({.name = "synthetic"}, SyntheticWalks(500, 100), SyntheticWalks(50, 100), 100, &report);
    return 0;
  }
  for (Set set : PublicSets()) {
    if (!only.empty() && set.name != only) continue;
    set.options.by_length = by_length;
    set.options.item_half_life_places = item_half_life;
    set.options.session_half_life_seconds = session_half_life;
    if (validation) {
      set.train = set.validation_train;
      set.test = set.validation;
      set.name += "_validation";
      set.peer.clear();
    }
    if (set.yoochoose) {
      if (m > 0) set.options.recent_sessions = m;
      if (k > 0) set.options.neighbours = k;
      if (l > 0) set.options.last_items = l;
      SessionSplit split = ReadYoochoose(validation ? 15 : 16, 5'000);
      Run(set, std::move(split.train), split.test, split.items, &report);
      continue;
    }
    SessionSplit split = ReadSessions(set.train, set.test);
    Run(set, std::move(split.train), split.test, split.items, &report);
  }
  return 0;
}
