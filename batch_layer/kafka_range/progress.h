#ifndef TRIBUTARY_BATCH_LAYER_KAFKA_RANGE_PROGRESS_H_
#define TRIBUTARY_BATCH_LAYER_KAFKA_RANGE_PROGRESS_H_

#include <cstdint>
#include <functional>
#include <ostream>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"

// How far the reading of a range is, for people.
namespace tributary::batch {

// Of all partitions together. Offsets, not records: markers of transactions and compacted ones count as read.
struct RangeProgress {
  int64_t done = 0;
  int64_t all = 0;
  int64_t accepted = 0;  // Events.
};

// `1200 of 4000 offsets (30 %), 1100 events, 600 offsets/s, 5s to go`, with what is not known yet left out. `spent`:
// since the beginning.
std::string FormatProgress(const RangeProgress& progress, absl::Duration spent);
// `[######--------------]`.
std::string ProgressBar(const RangeProgress& progress);

// Shows progress: on a terminal one line that is rewritten up to five times a second and goes when all is done, or with
// the object; else a line for the log at most every 10 s, so that a short reading leaves none.
//
// Threads: one.
class ProgressLine {
 public:
  // Borrows both; `terminal` null: there is none.
  ProgressLine(std::ostream* terminal, std::function<void(absl::string_view)> log, const Clock& clock);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // The first call is the beginning.
  void Update(const RangeProgress& progress);

 private:
  void Erase();

  std::ostream* const terminal_;
  const std::function<void(absl::string_view)> log_;
  const Clock& clock_;
  absl::Time began_ = absl::InfinitePast();
  absl::Time told_;
  bool drawn_ = false;
};

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_KAFKA_RANGE_PROGRESS_H_
