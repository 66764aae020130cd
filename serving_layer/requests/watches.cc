#include "serving_layer/requests/watches.h"

#include <algorithm>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"

namespace tributary::serving {
namespace {

// What makes a list another one: not ages, offsets and the like.
std::string Compared(const v1::RecommendResponse& list) {
  std::string text = absl::StrCat(list.freshness().generation(), ";");
  for (const v1::RecommendedItem& item : list.items()) {
    absl::StrAppend(&text, item.item_id().size(), ":", item.item_id());
    for (const v1::Reason& reason : item.reasons()) {
      absl::StrAppend(&text, ",", reason.kind_case(), reason.has_source() ? static_cast<int>(reason.source()) : 0);
    }
  }
  for (const int degradation : list.freshness().degraded()) {
    absl::StrAppend(&text, ";", degradation);
  }
  return text;
}

}  // namespace

absl::Status Watches::Add(v1::RecommendRequest request, std::shared_ptr<Watcher> watcher) {
  auto watch = std::make_shared<Watch>();
  watch->request = std::move(request);
  watch->watcher = std::move(watcher);
  MutexLock lock(mutex_);
  if (closed_) {
    return absl::UnavailableError("the server is stopping");
  }
  if (watches_.size() >= max_watchers_) {
    return absl::ResourceExhaustedError(absl::StrCat("too many watch: max_watchers=", max_watchers_));
  }
  watches_.push_back(std::move(watch));
  return absl::OkStatus();
}

void Watches::Remove(const Watcher* watcher) {
  MutexLock lock(mutex_);
  const auto found = std::find_if(watches_.begin(), watches_.end(),
                                  [&](const std::shared_ptr<Watch>& watch) { return watch->watcher.get() == watcher; });
  if (found != watches_.end()) {
    (*found)->removed.store(true);
    std::swap(*found, watches_.back());
    watches_.pop_back();
  }
}

size_t Watches::size() {
  MutexLock lock(mutex_);
  return watches_.size();
}

void Watches::Close() {
  MutexLock lock(mutex_);
  closed_ = true;
}

void Watches::RunOnce() {
  std::vector<std::shared_ptr<Watch>> watches;
  bool closed = false;
  {
    MutexLock lock(mutex_);
    closed = closed_;
    watches = watches_;
    if (closed) {
      watches_.clear();
    }
  }
  if (closed) {
    for (const std::shared_ptr<Watch>& watch : watches) {
      watch->watcher->End(absl::UnavailableError("the server is stopping"));
    }
    return;
  }
  if (watches.empty()) {
    return;
  }
  const bool look = woken_.exchange(false, std::memory_order_acq_rel);
  bool context_changed = false;
  {
    EpochGuard guard;
    const uint64_t version = context_.contexts().version;
    context_changed = version != std::exchange(last_version_, version);
  }
  for (const std::shared_ptr<Watch>& watch : watches) {
    if (context_changed) {
      watch->due = true;
    } else if (look && !watch->due) {
      EpochGuard guard;
      watch->due = watch->pending || ViewsOf(watch->request.user_id()) != watch->views;
    }
    if (watch->due && !watch->removed.load() && watch->watcher->ready()) {
      Make(*watch);
    }
  }
}

void Watches::Make(Watch& watch) {
  v1::RecommendResponse list;
  absl::Status status;
  {
    EpochGuard guard;  // The list is of the views that are remembered, or of later ones.
    watch.views = ViewsOf(watch.request.user_id());
    status = recommender_.Recommend(watch.request, &list);
  }
  watch.due = false;
  const auto& degraded = list.freshness().degraded();
  watch.pending = std::find(degraded.begin(), degraded.end(), v1::FOLD_IN_PENDING) != degraded.end();
  if (!status.ok()) {
    watch.watcher->End(status);
    Remove(watch.watcher.get());
    return;
  }
  if (std::string compared = Compared(list); compared != watch.sent) {
    watch.sent = std::move(compared);
    watch.watcher->Send(list);
  }
}

uint64_t Watches::ViewsOf(const std::string& user_id) const {
  uint64_t hash = 1;
  if (const LiveUserViews* const views = live_.FindUser(user_id); views != nullptr) {
    for (const std::shared_ptr<const LiveView>& view : views->views) {
      hash = absl::HashOf(hash, Value(view->partition), Value(view->order.applied), view->order.group_generation,
                          Value(view->order.floor));
    }
  }
  if (const UserInfo* const info = context_.FindUser(user_id); info != nullptr) {
    hash = absl::HashOf(hash, info->segment);
  }
  return hash;
}

}  // namespace tributary::serving
