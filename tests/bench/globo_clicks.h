#ifndef TRIBUTARY_TESTS_BENCH_GLOBO_CLICKS_H_
#define TRIBUTARY_TESTS_BENCH_GLOBO_CLICKS_H_

#include <cstdint>
#include <vector>

// The clicks of a news site that bench globo replays, and which of them are predicted.
namespace tributary::bench {

inline constexpr int64_t kHourMs = 3'600'000;
inline constexpr int64_t kDayMs = 24 * kHourMs;

struct Click {
  int64_t time_unix_ms = 0;
  uint32_t user = 0;
  uint32_t session = 0;  // Numbered over all users.
  uint32_t item = 0;
};

// globo/clicks.csv.zst, in the order of time.
std::vector<Click> ReadGlobo();
// Ten days of a site whose articles live for a day and a half, as many sessions as users. Sixty articles live at a
// time, more than a list holds: where the session knows fewer, serving fills up with popular ones, which may pass weak
// neighbours.
std::vector<Click> SyntheticNews();

struct Days {
  int64_t first = 0, last = 0;  // From 1.
};
// By click: a twentieth of those of these days that go on with a session.
std::vector<bool> ChoosePlaces(const std::vector<Click>& clicks, const Days& days);

// Of a replay: at which place of 20 each predicted click was, from 1; 0: at none.
struct Ranks {
  std::vector<uint32_t> ranks;

  double HitRate() const;
  double Mrr() const;
};

}  // namespace tributary::bench

#endif  // TRIBUTARY_TESTS_BENCH_GLOBO_CLICKS_H_
