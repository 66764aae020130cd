#include "serving_layer/requests/freshness_waits.h"

#include <utility>
#include <vector>

namespace tributary::serving {
namespace {

constexpr size_t kMaxWaits = 10'000;

}  // namespace

std::optional<uint64_t> FreshnessWaits::Add(const v1::EventPosition& position, std::function<void()> wake) {
  MutexLock lock(mutex_);
  if (waits_.size() >= kMaxWaits) {
    return std::nullopt;
  }
  waits_[++last_number_] = {.position = position, .wake = std::move(wake)};
  return last_number_;
}

void FreshnessWaits::Remove(uint64_t number) {
  MutexLock lock(mutex_);
  waits_.erase(number);
}

size_t FreshnessWaits::size() {
  MutexLock lock(mutex_);
  return waits_.size();
}

void FreshnessWaits::Wake() {
  std::vector<std::function<void()>> reached;
  {
    MutexLock lock(mutex_);
    for (auto wait = waits_.begin(); wait != waits_.end();) {
      if (covers_(wait->second.position)) {
        reached.push_back(std::move(wait->second.wake));
        wait = waits_.erase(wait);
      } else {
        ++wait;
      }
    }
  }
  for (const std::function<void()>& wake : reached) {
    wake();
  }
}

}  // namespace tributary::serving
