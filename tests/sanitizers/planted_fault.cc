// Faults that the sanitizers must report, so that a run without reports means something: as built, linked and configured
// here, with uninstrumented gRPC around the handler. ctest looks for the report (CMakeLists.txt), not for the exit status.
//
//   planted_fault race            two handlers of one gRPC service, at the same time, change what nothing guards
//   planted_fault guarded         the same under a mutex: no report, exit 0
//   planted_fault thread_race     two threads, without gRPC
//   planted_fault use_after_free
//   planted_fault overflow        of a signed integer
#include <cstdlib>
#include <iostream>
#include <latch>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "common/sync/mutex.h"
#include "tributary/v1/admin_service.grpc.pb.h"

namespace tributary {
namespace {

constexpr int kCallers = 2;

class Tally {
 public:
  void AddUnguarded() { ++sum_; }
  void AddGuarded() {
    MutexLock lock(mutex_);
    ++sum_;
  }

 private:
  Mutex mutex_;
  int sum_ = 0;
};

class TallyService final : public v1::AdminService::CallbackService {
 public:
  explicit TallyService(bool guarded) : guarded_(guarded) {}

  grpc::ServerUnaryReactor* GetConfig(grpc::CallbackServerContext* context, const v1::GetConfigRequest*,
                                      v1::GetConfigResponse*) override {
    together_.arrive_and_wait();   // So that the handlers run on two threads.
    guarded_ ? tally_.AddGuarded() : tally_.AddUnguarded();
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

 private:
  const bool guarded_;
  std::latch together_{kCallers};
  Tally tally_;
};

int CallTallyService(bool guarded) {
  TallyService service(guarded);
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  const auto stub = v1::AdminService::NewStub(
      grpc::CreateChannel("127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials()));
  {
    std::vector<std::jthread> callers;
    for (int i = 0; i < kCallers; ++i) {
      callers.emplace_back([&stub] {
        grpc::ClientContext context;
        v1::GetConfigResponse response;
        const grpc::Status status = stub->GetConfig(&context, {}, &response);
        if (!status.ok()) std::cerr << "call failed: " << status.error_message() << "\n";
      });
    }
  }
  server->Shutdown();
  return EXIT_SUCCESS;
}

int RaceThreads() {
  Tally tally;
  std::jthread other([&tally] { tally.AddUnguarded(); });
  tally.AddUnguarded();
  return EXIT_SUCCESS;
}

int UseAfterFree() {
  char* volatile bytes = new char[8]{};   // Volatile, or the compiler would see it.
  delete[] bytes;
  return bytes[0];
}

int Overflow(int by) {
  volatile int sum = std::numeric_limits<int>::max();
  sum = sum + by;
  return sum == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

}  // namespace
}  // namespace tributary

int main(int argc, char** argv) {
  const std::string fault = argc == 2 ? argv[1] : "";
  if (fault == "race") return tributary::CallTallyService(/*guarded=*/false);
  if (fault == "guarded") return tributary::CallTallyService(/*guarded=*/true);
  if (fault == "thread_race") return tributary::RaceThreads();
  if (fault == "use_after_free") return tributary::UseAfterFree();
  if (fault == "overflow") return tributary::Overflow(argc - 1);
  std::cerr << "usage: " << argv[0] << " race|guarded|thread_race|use_after_free|overflow\n";
  return EXIT_FAILURE;
}
