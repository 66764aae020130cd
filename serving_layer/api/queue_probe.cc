#include "serving_layer/api/queue_probe.h"

#include <chrono>
#include <memory>
#include <utility>

#include <grpcpp/generic/generic_stub.h>

namespace tributary::serving {
namespace {

constexpr absl::Duration kInterval = absl::Milliseconds(50);

int64_t NowNs() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

class Answer final : public grpc::ServerGenericBidiReactor {
 public:
  explicit Answer(grpc::Status status) { Finish(std::move(status)); }
  void OnDone() override { delete this; }
};

}  // namespace

grpc::ServerGenericBidiReactor* ProbeService::CreateReactor(grpc::GenericCallbackServerContext* context) {
  return new Answer(context->method() == kMethod ? grpc::Status() : grpc::Status(grpc::StatusCode::UNIMPLEMENTED, ""));
}

QueueProbe::QueueProbe(std::shared_ptr<grpc::Channel> channel, Admission& admission)
    : channel_(std::move(channel)), admission_(admission), thread_([this] { Run(); }) {}

QueueProbe::~QueueProbe() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    if (under_way_ != nullptr) {
      under_way_->TryCancel();
    }
    changed_.NotifyAll();
  }
  thread_.join();
}

void QueueProbe::Run() {
  grpc::GenericStub stub(channel_);
  grpc::CompletionQueue queue;
  const grpc::ByteBuffer nothing;
  while (true) {
    grpc::ClientContext context;
    {
      MutexLock lock(mutex_);
      if (changed_.AwaitFor(mutex_, kInterval, [this] { return stopping_; })) {
        break;
      }
      under_way_ = &context;
    }
    admission_.ProbeSent(NowNs());
    const auto call = stub.PrepareUnaryCall(&context, ProbeService::kMethod, nothing, &queue);
    call->StartCall();
    // That an answer came is what counts: it has no message, which a client takes for an error.
    grpc::ByteBuffer answer;
    grpc::Status status;
    call->Finish(&answer, &status, this);
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    admission_.ProbeAnswered(NowNs());
    MutexLock lock(mutex_);
    under_way_ = nullptr;
  }
  queue.Shutdown();
}

}  // namespace tributary::serving
