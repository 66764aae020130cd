#ifndef TRIBUTARY_BATCH_LAYER_PIPELINE_EVENT_STORE_H_
#define TRIBUTARY_BATCH_LAYER_PIPELINE_EVENT_STORE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "batch_layer/pipeline/spill_file.h"
#include "common/event/event.h"
#include "common/ids/ids.h"
#include "common/user_state/user_history.h"

namespace tributary::batch {

inline constexpr uint32_t kNoItem = std::numeric_limits<uint32_t>::max();
inline constexpr uint64_t kNoSession = 0;

// An accepted event with its names as dense numbers.
struct DenseEvent {
  int64_t event_time_unix_ms = 0;
  Offset offset{};
  int64_t value_micros = 0;
  uint64_t session = kNoSession;     // xxh64 of its session id, not 0.
  uint32_t user = 0;
  uint32_t item = kNoItem;
  PartitionId partition{};
  uint8_t kind = 0;                  // EventType.
  bool anonymous = false;

  EventType type() const { return static_cast<EventType>(kind); }
  DecisionKey key() const { return {event_time_unix_ms, {partition, offset}}; }
};
static_assert(sizeof(DenseEvent) == 48, "what a run needs of memory or disk for each event");

// All events of the users [first_user, first_user + users()).
class EventSlice {
 public:
  EventSlice(uint32_t first_user, std::vector<size_t> begins, absl::Span<const DenseEvent> events)
      : first_user_(first_user), begins_(std::move(begins)), events_(events) {}
  uint32_t first_user() const { return first_user_; }
  uint32_t users() const { return static_cast<uint32_t>(begins_.size() - 1); }
  // `user` of the slice; its events in the order of the history.
  absl::Span<const DenseEvent> EventsOf(uint32_t user) const {
    const size_t begin = begins_[user - first_user_];
    return events_.subspan(begin, begins_[user - first_user_ + 1] - begin);
  }
  absl::Span<const DenseEvent> events() const { return events_; }

 private:
  uint32_t first_user_;
  std::vector<size_t> begins_;
  absl::Span<const DenseEvent> events_;
};

// The events of a run, in the order of the history first, by user then. Up to a number of them lie in memory (48 bytes each);
// more go to files: as they come in one file, then into a file for each slice of users, which is in memory alone when it is
// visited. A user has all events in one slice, however many.
//
// Errors:  ResourceExhausted: disk full; Unavailable: other errors of the file system.
// Threads: not thread-safe.
class EventStore {
 public:
  struct Options {
    size_t in_memory = std::numeric_limits<size_t>::max();   // Events; at least 1.
    size_t expected = 0;                                     // Events, so that memory is taken once.
    std::string dir;                                         // For the files; made when needed, goes with the object.
  };
  explicit EventStore(Options options) : options_(std::move(options)) {
    events_.reserve(std::min(options_.expected, options_.in_memory));
  }
  EventStore() : EventStore(Options()) {}

  // Events by history; users and items with the numbers of their first appearance.
  absl::Status Add(const DenseEvent& event);
  // After the last Add: `user_places[n]` and `item_places[n]` are the numbers for good of what had the number n so far.
  absl::Status Sort(absl::Span<const uint32_t> user_places, absl::Span<const uint32_t> item_places);
  // After Sort, as often as you like: slices by ascending user; every user is in one.
  absl::Status ForEachSlice(const std::function<absl::Status(const EventSlice&)>& visit);
  // Lets go of the events, in memory and on the disk; the directory stays.
  void ReleaseEvents();

  size_t size() const { return size_; }
  // The directory of its files, for what else has no room in memory; null: all is in memory.
  const SpillDirectory* directory() const { return dir_ ? &*dir_ : nullptr; }

 private:
  struct Slice {
    uint32_t first_user = 0;
    uint32_t users = 0;
    size_t events = 0;
    std::string path;
    std::optional<SpillFile> file;
  };
  absl::Status SpillBuffer();
  absl::Status VisitSorted(uint32_t first_user, uint32_t users, std::vector<DenseEvent>* events,
                           const std::function<absl::Status(const EventSlice&)>& visit) const;

  Options options_;
  size_t size_ = 0;
  uint32_t users_ = 0;
  std::optional<SpillDirectory> dir_;
  std::optional<SpillFile> arrivals_;           // As they came.
  std::vector<DenseEvent> events_;              // All of them, or those that are not in `arrivals_` yet.
  std::vector<uint32_t> events_of_;             // By number of first appearance.
  std::vector<Slice> slices_;
};

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_PIPELINE_EVENT_STORE_H_
