#include "serving_layer/api/event_service.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/snapshot/snapshot.h"
#include "common/sync/mutex.h"
#include "common/sync/rcu.h"
#include "serving_layer/context/records.h"
#include "serving_layer/requests/forget_report.h"
#include "serving_layer/requests/published_event.h"

namespace tributary::serving {
namespace {

// So that what users of a bucket do counts for it, whoever publishes it.
void SetBucket(const Recommender& recommender, v1::Event* event) {
  if (event->experiment_bucket().empty() && event->type() != v1::FORGET) {
    event->set_experiment_bucket(recommender.BucketOf(event->user_id()));
  }
}

}  // namespace

grpc::ServerUnaryReactor* EventServiceImpl::Publish(grpc::CallbackServerContext* context,
                                                    const v1::PublishRequest* request, v1::PublishResponse* response) {
  const RpcCall call(publish_, context);
  if (const absl::Status admitted = call.Admitted(admission_); !admitted.ok()) {
    return call.Finish(admitted);
  }
  if (!request->has_event()) {
    return call.Finish(absl::InvalidArgumentError("event is required"));
  }
  v1::Event event = request->event();
  SetBucket(parts_.recommender, &event);
  if (const std::optional<Rejection> rejection = CompleteEvent(parts_.clock.Now(), &event)) {
    return call.Finish(absl::InvalidArgumentError(
        rejection->field.empty() ? absl::StrCat("event: ", rejection->reason)
                                 : absl::StrCat("event.", rejection->field, ": ", rejection->reason)));
  }
  parts_.publisher.Send(RecordOf(parts_.topics.events, event.user_id(), event.SerializeAsString()),
                        [call, response](absl::StatusOr<EventPosition> position) {
                          if (position.ok()) {
                            WritePosition(*position, response->mutable_position());
                            *response->mutable_token()->mutable_position() = response->position();
                          }
                          call.Finish(position.status());
                        });
  return call.reactor();
}

// One client's stream: reads on while few of its events are under way. It ends when the client has sent all, or it must
// be given up, and the last event under way was told.
class EventServiceImpl::Stream final : public grpc::ServerReadReactor<v1::PublishStreamRequest> {
 public:
  Stream(EventServiceImpl& service, grpc::CallbackServerContext* context, v1::PublishStreamResponse* response)
      : service_(service), response_(response), begun_(std::chrono::steady_clock::now()) {
    const int64_t now_ns = begun_.time_since_epoch().count();
    if (const absl::Status admitted = service.admission_.Admit(now_ns); !admitted.ok()) {
      SayWhenToRetry(service.admission_.queue_time_ns(now_ns), context);
      MutexLock lock(mutex_);
      End(admitted);
    }
    GoOn();
  }

  void OnReadDone(bool ok) override {
    if (ok) {
      Take();
    }
    {
      MutexLock lock(mutex_);
      reading_ = false;
      if (!ok) {
        End(absl::OkStatus());
      }
    }
    GoOn();
  }
  void OnCancel() override {
    // Events under way cannot be taken back; the read under way ends by itself.
  }
  void OnDone() override { delete this; }

 private:
  static constexpr int kMaxUnderWay = 1000;
  static constexpr int kMaxRejected = 1000;

  // The event that was read. The next one is read when this one was handed over, so that their order stays.
  void Take() {
    v1::Event& event = *request_.mutable_event();
    const int64_t index = read_++;
    SetBucket(service_.parts_.recommender, &event);
    if (std::optional<Rejection> rejection = CompleteEvent(service_.parts_.clock.Now(), &event)) {
      MutexLock lock(mutex_);
      v1::PublishStreamResponse::Rejected& rejected = *response_->add_rejected();
      rejected.set_index(index);
      rejected.set_field(std::move(rejection->field));
      rejected.set_reason(std::move(rejection->reason));
      if (response_->rejected_size() == kMaxRejected) {
        End(absl::ResourceExhaustedError(absl::StrCat("too many events refused: refused=", kMaxRejected,
                                                      " index=", index, " field=", rejected.field(), " reason=\"",
                                                      rejected.reason(), "\"")));
      }
      return;
    }
    {
      MutexLock lock(mutex_);
      ++under_way_;
    }
    service_.parts_.publisher.Send(RecordOf(service_.parts_.topics.events, event.user_id(), event.SerializeAsString()),
                                   [this](const absl::StatusOr<EventPosition>& position) {
                                     {
                                       MutexLock lock(mutex_);
                                       --under_way_;
                                       if (position.ok()) {
                                         response_->set_accepted(response_->accepted() + 1);
                                         Offset& highest =
                                             highest_.try_emplace(position->partition, position->offset).first->second;
                                         highest = std::max(highest, position->offset);
                                       } else {
                                         End(position.status());
                                       }
                                     }
                                     GoOn();
                                   });
  }

  void End(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ended_ = true;
    status_.Update(status);
  }

  // Reads or finishes when it is time. The last thing that a caller does: this may be gone when it returns.
  void GoOn() {
    bool read = false;
    absl::Status status;
    {
      MutexLock lock(mutex_);
      if (reading_ || finished_) {
        return;
      }
      read = !ended_ && under_way_ < kMaxUnderWay;
      reading_ = read;
      finished_ = ended_ && under_way_ == 0;
      if (!read && !finished_) {
        return;
      }
      status = status_;
    }
    if (read) {
      StartRead(&request_);
      return;
    }
    for (const auto& [partition, offset] : highest_) {
      WritePosition({partition, offset}, response_->add_tokens()->mutable_position());
    }
    service_.publish_stream_.Count(status.code(), std::chrono::steady_clock::now() - begun_);
    Finish(ToGrpc(status));
  }

  EventServiceImpl& service_;
  v1::PublishStreamResponse* const response_;  // Under mutex_, until it is finished.
  const std::chrono::steady_clock::time_point begun_;
  v1::PublishStreamRequest request_;
  int64_t read_ = 0;
  Mutex mutex_;
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;  // A read is under way, or what it read is being taken.
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;    // Nothing more is read.
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  int under_way_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);  // The first error.
  std::map<PartitionId, Offset> highest_;        // Of accepted events. Under mutex_, until it is finished.
};

grpc::ServerReadReactor<v1::PublishStreamRequest>* EventServiceImpl::PublishStream(
    grpc::CallbackServerContext* context, v1::PublishStreamResponse* response) {
  return new Stream(*this, context, response);
}

grpc::ServerUnaryReactor* EventServiceImpl::ForgetUser(grpc::CallbackServerContext* context,
                                                       const v1::ForgetUserRequest* request,
                                                       v1::ForgetUserResponse* response) {
  const RpcCall call(forget_user_, context);
  if (const absl::Status valid = ValidateId(request->user_id(), "user_id"); !valid.ok()) {
    return call.Finish(valid);
  }
  v1::Event event;
  event.set_user_id(request->user_id());
  event.set_type(v1::FORGET);
  const absl::Time now = parts_.clock.Now();
  if (const std::optional<Rejection> rejection = CompleteEvent(now, &event)) {
    return call.Finish(absl::InternalError(absl::StrCat("FORGET event refused: ", rejection->reason)));
  }
  parts_.publisher.Send(
      RecordOf(parts_.topics.events, event.user_id(), event.SerializeAsString()),
      [call, response, now_unix_ms = absl::ToUnixMillis(now)](const absl::StatusOr<EventPosition>& position) {
        if (position.ok()) {
          response->set_report_id(EncodeReportId({.position = *position, .event_time_unix_ms = now_unix_ms}));
          WritePosition(*position, response->mutable_token()->mutable_position());
        }
        call.Finish(position.status());
      });
  return call.reactor();
}

grpc::ServerUnaryReactor* EventServiceImpl::GetForgetReport(grpc::CallbackServerContext* context,
                                                            const v1::GetForgetReportRequest* request,
                                                            v1::GetForgetReportResponse* response) {
  const RpcCall call(get_forget_report_, context);
  const absl::StatusOr<ForgetPosition> forget = DecodeReportId(request->report_id());
  if (!forget.ok()) {
    return call.Finish(forget.status());
  }
  const absl::StatusOr<std::vector<v1::SnapshotManifest>> manifests =
      SnapshotStore(parts_.config.storage().snapshots_dir()).List();
  if (!manifests.ok()) {
    return call.Finish(manifests.status());
  }
  EpochGuard guard;
  *response = ReportForgotten(*forget, *manifests, parts_.live.partitions(), parts_.config, parts_.clock.Now());
  return call.Finish(absl::OkStatus());
}

}  // namespace tributary::serving
