#ifndef TRIBUTARY_TESTS_BENCH_SESSION_SETS_H_
#define TRIBUTARY_TESTS_BENCH_SESSION_SETS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "common/ids/ids.h"
#include "common/sessions/session_index.h"

// Public sets of sessions, and how well what comes next in them is told.
namespace tributary::bench {

// The sessions of `train` are known, those of `test` asked for. Items are numbered from 0.
struct SessionSplit {
  std::vector<PastSession> train, test;
  uint32_t items = 0;
};

// TSV files below TRIBUTARY_DATA with the header SessionId ItemId Time (seconds). Test sessions in the order of the file.
SessionSplit ReadSessions(const std::string& train, const std::string& test);
// yoochoose-17d: `period session item` in the order of time, so that a row's number is its time. The sessions of a day,
// at most `most`, are asked for; those of the days before it are known.
SessionSplit ReadYoochoose(uint32_t day, size_t most);
// Everybody walks on from one item to the next.
std::vector<PastSession> SyntheticWalks(uint32_t sessions, uint32_t items);

// Whether the item that came next was among the first of a list, and how far up: means over places.
struct SessionQuality {
  double hit_rate = 0;
  double mrr = 0;
  int64_t places = 0;

  // `rank` from 1; 0: not in the list.
  void Add(size_t rank);
  void Add(absl::Span<const ScoredItem> list, uint32_t next, size_t length);
  // Sums become means. Once, after the last place.
  void Finish();
};

}  // namespace tributary::bench

#endif  // TRIBUTARY_TESTS_BENCH_SESSION_SETS_H_
