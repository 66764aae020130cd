#ifndef TRIBUTARY_TESTS_FAKES_FAKE_LOCAL_STORE_H_
#define TRIBUTARY_TESTS_FAKES_FAKE_LOCAL_STORE_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/local_store/local_store.h"
#include "common/sync/mutex.h"

namespace tributary {

// A local store in memory, whose disk can be full or broken. Thread-safe.
class FakeLocalStore final : public LocalStore {
 public:
  absl::Status Put(absl::Span<const Entry> entries) override {
    MutexLock lock(mutex_);
    if (full_) return absl::ResourceExhaustedError("the disk is full: dir=fake");
    for (const auto& [key, value] : entries) entries_[key] = value;
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<std::optional<std::string>>> Get(absl::Span<const std::string> keys) override {
    MutexLock lock(mutex_);
    if (broken_) return absl::UnavailableError("the disk does not answer: dir=fake");
    std::vector<std::optional<std::string>> values;
    for (const std::string& key : keys) {
      const auto found = entries_.find(key);
      values.push_back(found == entries_.end() ? std::nullopt : std::optional(found->second));
    }
    return values;
  }
  absl::StatusOr<std::vector<Entry>> Scan(absl::string_view begin, absl::string_view end, size_t limit) override {
    MutexLock lock(mutex_);
    if (broken_) return absl::UnavailableError("the disk does not answer: dir=fake");
    std::vector<Entry> found;
    for (auto at = entries_.lower_bound(begin); at != entries_.end() && at->first < end && found.size() < limit; ++at) {
      found.push_back(*at);
    }
    return found;
  }
  void Drop(absl::string_view begin, absl::string_view end) override {
    MutexLock lock(mutex_);
    entries_.erase(entries_.lower_bound(begin), entries_.lower_bound(end));
  }

  // Put fails while it is full, Get and Scan while it is broken.
  void SetFull(bool full) {
    MutexLock lock(mutex_);
    full_ = full;
  }
  void SetBroken(bool broken) {
    MutexLock lock(mutex_);
    broken_ = broken;
  }
  size_t size() {
    MutexLock lock(mutex_);
    return entries_.size();
  }

 private:
  Mutex mutex_;
  std::map<std::string, std::string, std::less<>> entries_ ABSL_GUARDED_BY(mutex_);
  bool full_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tributary

#endif  // TRIBUTARY_TESTS_FAKES_FAKE_LOCAL_STORE_H_
