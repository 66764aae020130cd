#include "batch_layer/pipeline/memory.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_format.h"
#include "batch_layer/learning/validation.h"
#include "batch_layer/models/interaction_matrix.h"
#include "batch_layer/pipeline/past_sessions.h"
#include "common/status/status_macros.h"

namespace tributary::batch {
namespace {

constexpr int64_t kProgramBytes = 192LL << 20;  // Libraries, buffers, what the heap keeps.
constexpr int64_t kPassBytes = 192LL << 20;     // A row group; what kEventsPerStep of views.cc become.
constexpr int64_t kUserBytes = 176;  // An id twice, in a table and by number, places here and in user_index.bin.
constexpr int64_t kItemBytes = 400;
constexpr int64_t kEntryBytes = sizeof(uint32_t) + sizeof(float);  // Of a matrix, in one order.
// An observation, and the same by row and by item in a matrix.
constexpr int64_t kObservationBytes = sizeof(Observation) + 2 * kEntryBytes;
// More than that while a matrix is made: interactions, which go before the second order comes.
constexpr int64_t kCreationBytes = sizeof(Interaction) - kEntryBytes;
constexpr int64_t kSessionBytes = 240;            // Twice as many as are kept while they are collected, then the index.
constexpr int64_t kProfileBytes = 28;             // Of a profile, an observation.
constexpr size_t kLeastSlice = 100'000;

// What stays from the first event to the last view.
int64_t ResidentBytes(const RunSize& size) {
  const int64_t sessions = std::min(size.sessions, static_cast<int64_t>(kMostSessions));
  return kProgramBytes + size.users * kUserBytes + size.items * kItemBytes + sessions * kSessionBytes;
}

double Gib(int64_t bytes) { return static_cast<double>(bytes) / (1 << 30); }

absl::Status DoesNotFit(int64_t bytes, const RunSize& size, const v1::BatchConfig& config) {
  return absl::ResourceExhaustedError(absl::StrFormat(
      "run needs more memory than it may have: needed_gib=%.2f memory_budget_gib=%.2f events=%d users=%d items=%d "
      "observations=%d; raise batch.memory_budget_bytes, or learn from less (learn_from_days, learn_user_share)",
      Gib(bytes), Gib(config.memory_budget_bytes()), size.events, size.users, size.items, size.observations));
}

}  // namespace

int64_t LearningBytes(const RunSize& size, const v1::BatchConfig& config) {
  const int64_t factors = (size.users + size.items) * config.ials().dimensions() * int64_t{sizeof(float)};
  const auto& item_item = config.item_item();
  const int64_t links = 4 * size.items * item_item.links() * int64_t{sizeof(ScoredItem)};
  const int64_t low_pass = item_item.low_pass_dimensions() * int64_t{sizeof(float)};
  // Items that are not known yet are too many for EASE.
  const int64_t model = size.items > 0 && size.items <= item_item.ease_items_at_most()
                            ? size.items * size.items * int64_t{sizeof(float)} + links
                            : std::max((size.users + 3 * size.items) * low_pass, 2 * size.items * low_pass + links);
  // Of the models only the factors are there when a matrix is made.
  return ResidentBytes(size) + size.observations * kObservationBytes + factors +
         std::max(size.observations * kCreationBytes, model);
}

absl::StatusOr<MemoryPlan> PlanMemory(const RunSize& size, const v1::BatchConfig& config) {
  const int64_t learning = LearningBytes(size, config);
  const int64_t resident = ResidentBytes(size);
  const int64_t observations = size.observations * int64_t{sizeof(Observation)};
  const auto with = [&](int64_t events, int64_t profiles) {
    return std::max(learning, resident + kPassBytes + observations + events * int64_t{sizeof(DenseEvent)}) + profiles;
  };
  const int64_t budget = config.memory_budget_bytes();
  const int64_t in_memory = with(size.events, size.observations * kProfileBytes);
  if (budget == 0 || in_memory <= budget) {
    return MemoryPlan{in_memory, std::numeric_limits<size_t>::max()};
  }
  // Profiles go to the disk with the events.
  const size_t slice = std::max(kLeastSlice, static_cast<size_t>(budget) / 8 / sizeof(DenseEvent));
  const int64_t bytes = with(std::min(size.events, static_cast<int64_t>(slice)), 0);
  if (bytes > budget) {
    return DoesNotFit(bytes, size, config);
  }
  return MemoryPlan{bytes, slice};
}

absl::Status CheckLearningFits(const RunSize& size, const v1::BatchConfig& config) {
  const int64_t bytes = LearningBytes(size, config);
  return config.memory_budget_bytes() == 0 || bytes <= config.memory_budget_bytes() ? absl::OkStatus()
                                                                                    : DoesNotFit(bytes, size, config);
}

}  // namespace tributary::batch
