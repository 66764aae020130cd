#include "tests/bench/empty_server.h"

#include <glog/logging.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <fstream>
#include <utility>

#include "tests/bench/server_process.h"
#include "tributary/v1/recommendation_service.grpc.pb.h"

namespace tributary::serving {
namespace {

class EmptyCallback final : public v1::RecommendationService::CallbackService {
 public:
  explicit EmptyCallback(v1::RecommendResponse answer) : answer_(std::move(answer)) {}
  grpc::ServerUnaryReactor* Recommend(grpc::CallbackServerContext* context, const v1::RecommendRequest*,
                                      v1::RecommendResponse* response) override {
    *response = answer_;
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status());
    return reactor;
  }

 private:
  const v1::RecommendResponse answer_;
};

}  // namespace

void WriteAnswer(const v1::RecommendResponse& answer, const std::string& file) {
  std::ofstream out(file, std::ios::binary);
  CHECK(answer.SerializeToOstream(&out) && out.flush()) << file;
}

v1::RecommendResponse ReadAnswer(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  v1::RecommendResponse answer;
  CHECK(in && answer.ParseFromIstream(&in)) << file;
  return answer;
}

void ServeEmptyCallback(const std::string& answer_file) {
  EmptyCallback service(ReadAnswer(answer_file));
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  auto server = builder.BuildAndStart();
  SayPortAndWait(port);
  server->Shutdown(std::chrono::system_clock::now());
}

}  // namespace tributary::serving
