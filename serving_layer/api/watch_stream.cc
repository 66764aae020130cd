#include "serving_layer/api/watch_stream.h"

#include <utility>

#include "common/sync/mutex.h"

namespace tributary::serving {

class WatchStream::Link final : public Watcher {
 public:
  explicit Link(WatchStream* stream) : stream_(stream) {}

  bool ready() override {
    MutexLock lock(mutex_);
    return stream_ != nullptr && !writing_ && !finished_;
  }
  void Send(const v1::RecommendResponse& list) override {
    MutexLock lock(mutex_);
    if (stream_ != nullptr && !writing_ && !finished_) {
      *response_.mutable_response() = list;
      writing_ = true;
      stream_->StartWrite(&response_);
    }
  }
  void End(const absl::Status& status) override {
    MutexLock lock(mutex_);
    if (stream_ != nullptr && !finished_) {
      finished_ = true;
      stream_->metrics_.Count(status.code(), std::chrono::steady_clock::now() - stream_->begun_);
      stream_->Finish(ToGrpc(status));
    }
  }
  void Written() {
    MutexLock lock(mutex_);
    writing_ = false;
  }
  void Gone() {
    MutexLock lock(mutex_);
    stream_ = nullptr;
  }

 private:
  Mutex mutex_;
  WatchStream* stream_ ABSL_GUARDED_BY(mutex_);
  v1::WatchResponse response_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

WatchStream::WatchStream(Watches& watches, RpcMetrics& metrics, const v1::RecommendRequest& request,
                         absl::Status admitted)
    : watches_(watches), metrics_(metrics), link_(std::make_shared<Link>(this)) {
  if (admitted.ok()) {
    admitted = watches_.Add(request, link_);
  }
  if (!admitted.ok()) {
    link_->End(admitted);
  }
}

void WatchStream::OnWriteDone(bool ok) {
  link_->Written();
  if (!ok) {
    link_->End(absl::CancelledError("the client is gone"));
  }
}

void WatchStream::OnCancel() { link_->End(absl::CancelledError("the client is gone")); }

void WatchStream::OnDone() {
  link_->Gone();
  watches_.Remove(link_.get());
  delete this;
}

}  // namespace tributary::serving
