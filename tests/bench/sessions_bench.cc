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
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/sessions/session_neighbours.h"
#include "tests/bench/report.h"
#include "tests/bench/top_n_split.h"

namespace tributary::bench {
namespace {

struct Set {
  std::string name;         // Its metrics are sessions/NAME_hr_at_20 and so on.
  std::string train, test;  // Below TRIBUTARY_DATA: TSV with the header SessionId ItemId Time (seconds).
  std::string validation_train, validation;
  SessionNeighbourOptions options;
  std::string peer;
  double peer_hit_rate = 0;
  double peer_mrr = 0;
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
           .peer_mrr = 0}};
}

// Numbers items in the order in which they come.
std::vector<PastSession> Parse(const std::string& text, absl::flat_hash_map<uint64_t, uint32_t>* numbers) {
  std::map<uint64_t, std::vector<std::pair<double, uint32_t>>> clicks;
  std::istringstream lines(text);
  std::string header;
  std::getline(lines, header);
  uint64_t session = 0, item = 0;
  double time = 0;
  while (lines >> session >> item >> time) {
    clicks[session].emplace_back(time,
                                 numbers->try_emplace(item, static_cast<uint32_t>(numbers->size())).first->second);
  }
  std::vector<PastSession> sessions;
  for (auto& [id, of_session] : clicks) {
    std::stable_sort(of_session.begin(), of_session.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    PastSession& past = sessions.emplace_back();
    past.time_unix_ms = static_cast<int64_t>(of_session.back().first * 1000);
    for (const auto& click : of_session) {
      past.items.push_back(click.second);
    }
  }
  return sessions;
}

struct Quality {
  double hit_rate = 0;
  double mrr = 0;
  int64_t places = 0;

  void Add(absl::Span<const ScoredItem> list, uint32_t next) {
    ++places;
    for (size_t i = 0; i < list.size() && i < kListLength; ++i) {
      if (Value(list[i].item) == next) {
        hit_rate += 1;
        mrr += 1 / (static_cast<double>(i) + 1);
      }
    }
  }
  void Finish() {
    hit_rate /= static_cast<double>(std::max<int64_t>(1, places));
    mrr /= static_cast<double>(std::max<int64_t>(1, places));
  }
};

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

  const SessionNeighbours neighbours(index, set.options);
  SessionNeighbours::Scratch scratch;
  Quality ours, popularity;
  absl::Duration asking = absl::ZeroDuration();
  for (const PastSession& session : test) {
    for (size_t i = 1; i < session.items.size(); ++i) {
      const absl::Time asked = absl::Now();
      // One more than is looked at: the item that is on show now is not what comes next.
      const absl::Span<const ScoredItem> next = neighbours.Next(
          {.items = absl::MakeConstSpan(session.items).first(i), .now_unix_ms = session.time_unix_ms}, kListLength + 1,
          &scratch);
      asking += absl::Now() - asked;
      std::vector<ScoredItem> list(next.begin(), next.end());
      list.erase(std::remove_if(list.begin(), list.end(),
                                [&](const ScoredItem& scored) { return Value(scored.item) == session.items[i - 1]; }),
                 list.end());
      ours.Add(list, session.items[i]);
      popularity.Add(popular, session.items[i]);
    }
  }
  ours.Finish();
  popularity.Finish();
  std::cerr << absl::StrFormat(
      "%s: %d places: HR@20 %.4f MRR@20 %.4f, popularity %.4f %.4f; %d sessions, built in %s\n", set.name, ours.places,
      ours.hit_rate, ours.mrr, popularity.hit_rate, popularity.mrr, index.sessions(), absl::FormatDuration(building));
  report->Add(absl::StrCat("sessions/", set.name, "_hr_at_20"), ours.hit_rate, "ratio", set.peer, set.peer_hit_rate);
  report->Add(absl::StrCat("sessions/", set.name, "_mrr_at_20"), ours.mrr, "ratio", set.peer, set.peer_mrr);
  report->Add(absl::StrCat("sessions/", set.name, "_query_us"),
              absl::ToDoubleMicroseconds(asking) / static_cast<double>(std::max<int64_t>(1, ours.places)), "us");
}

// Everybody walks on from one item to the next.
std::vector<PastSession> Walks(uint32_t sessions, uint32_t items) {
  std::vector<PastSession> walks(sessions);
  for (uint32_t s = 0; s < sessions; ++s) {
    walks[s].time_unix_ms = s;
    for (uint32_t i = 0; i < 2 + s % 5; ++i) {
      walks[s].items.push_back((s * 7 + i) % items);
    }
  }
  return walks;
}

}  // namespace
}  // namespace tributary::bench

int main(int argc, char** argv) {
  using namespace tributary::bench;
  google::InitGoogleLogging(argv[0]);
  bool smoke = false, validation = false, by_length = false;
  double item_half_life = tributary::SessionNeighbourOptions().item_half_life_places, session_half_life = 0;
  CLI::App app("Quality and speed of session neighbours.");
  app.add_flag("--validation", validation, "On the sets' validation parts; opens no test part");
  app.add_flag("--by-length", by_length);
  app.add_option("--item-half-life", item_half_life, "In places; 0: distance does not count")->capture_default_str();
  app.add_option("--session-half-life", session_half_life, "In seconds; 0: age does not count")->capture_default_str();
  app.add_flag("--smoke", smoke, "A short run on synthetic sessions");
  CLI11_PARSE(app, argc, argv);
  Report report("sessions");
  if (smoke) {
    Run({.name = "synthetic"}, Walks(500, 100), Walks(50, 100), 100, &report);
    return 0;
  }
  for (Set set : PublicSets()) {
    set.options.by_length = by_length;
    set.options.item_half_life_places = item_half_life;
    set.options.session_half_life_seconds = session_half_life;
    if (validation) {
      set.train = set.validation_train;
      set.test = set.validation;
      set.name += "_validation";
      set.peer.clear();
    }
    absl::flat_hash_map<uint64_t, uint32_t> numbers;
    std::vector<tributary::PastSession> train = Parse(ReadData(set.train), &numbers);
    const std::vector<tributary::PastSession> test = Parse(ReadData(set.test), &numbers);
    Run(set, std::move(train), test, static_cast<uint32_t>(numbers.size()), &report);
  }
  return 0;
}
