#include "serving_layer/api/http_server.h"

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <sys/socket.h>

#include <google/protobuf/descriptor.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <httplib.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/status/status_macros.h"
#include "common/sync/mutex.h"
#include "serving_layer/api/json_mapping.h"

namespace tributary::serving {
namespace {

constexpr size_t kMaxBodyBytes = 1 << 20;
constexpr int kIdleSeconds = 5;
constexpr int kRefusers = 4;
constexpr int64_t kDefaultTimeoutMs = 30'000;
constexpr int64_t kMaxTimeoutMs = 600'000;
// Between two looks at whether a stream's client is still there or the server stops, and between two signs of life.
constexpr absl::Duration kStreamLook = absl::Milliseconds(200);
constexpr absl::Duration kSignOfLife = absl::Seconds(15);
// Longer than any deadline.
constexpr absl::Duration kForever = absl::Hours(1);

using google::protobuf::MethodDescriptor;

// The thread answers 503.
thread_local bool refusing = false;

// A connection a thread, and a few threads that refuse what is too many.
class ConnectionThreads final : public httplib::TaskQueue {
 public:
  explicit ConnectionThreads(int connections) : connections_(connections) {
    for (int i = 0; i < connections; ++i) {
      threads_.emplace_back([this] { Run(accepted_); });
    }
    for (int i = 0; i < kRefusers; ++i) {
      threads_.emplace_back([this] {
        refusing = true;
        Run(refused_);
      });
    }
  }
  void enqueue(std::function<void()> connection) override {
    MutexLock lock(mutex_);
    const bool accept = open_ < connections_;
    open_ += accept ? 1 : 0;
    (accept ? accepted_ : refused_).push_back(std::move(connection));
    changed_.NotifyAll();
  }
  void shutdown() override {
    {
      MutexLock lock(mutex_);
      stopping_ = true;
      changed_.NotifyAll();
    }
    for (std::thread& thread : threads_) {
      thread.join();
    }
  }

 private:
  using Queue = std::deque<std::function<void()>>;

  // Runs what was enqueued to the end: it closes the connection.
  void Run(Queue& queue) {
    while (true) {
      std::function<void()> connection;
      {
        MutexLock lock(mutex_);
        changed_.Await(mutex_, [&] { return stopping_ || !queue.empty(); });
        if (queue.empty()) {
          return;
        }
        connection = std::move(queue.front());
        queue.pop_front();
      }
      connection();
      if (!refusing) {
        MutexLock lock(mutex_);
        --open_;
      }
    }
  }

  const int connections_;
  Mutex mutex_;
  CondVar changed_;
  Queue accepted_;  // Under mutex_.
  Queue refused_;   // Under mutex_.
  int open_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

// One call, message by message, for one thread.
class Call {
 public:
  Call(grpc::GenericStub& stub, const MethodDescriptor& method, std::optional<absl::Duration> timeout) {
    if (timeout) {
      context_.set_deadline(std::chrono::system_clock::now() + absl::ToChronoNanoseconds(*timeout));
    }
    call_ = stub.PrepareCall(&context_, GrpcPath(method), &queue_);
    call_->StartCall(this);
    Await();
  }
  // Cancels what is not finished.
  ~Call() {
    context_.TryCancel();
    if (reading_) {
      Await();
    }
    if (!finished_) {
      (void)Finish();
    }
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  void Send(const std::vector<std::string>& requests) {
    bool ok = true;
    for (size_t i = 0; ok && i < requests.size(); ++i) {
      const grpc::Slice slice(requests[i]);
      call_->Write(grpc::ByteBuffer(&slice, 1), this);
      ok = Await();
    }
    if (ok) {
      call_->WritesDone(this);
      Await();
    }
  }
  enum class Read { kMessage, kEnd, kNothingYet };
  Read Next(absl::Duration timeout, std::string* message) {
    if (!reading_) {
      call_->Read(&buffer_, this);
      reading_ = true;
    }
    void* tag = nullptr;
    bool ok = false;
    const auto until = std::chrono::system_clock::now() + absl::ToChronoNanoseconds(timeout);
    if (queue_.AsyncNext(&tag, &ok, until) == grpc::CompletionQueue::TIMEOUT) {
      return Read::kNothingYet;
    }
    reading_ = false;
    grpc::Slice slice;
    if (!ok || !buffer_.DumpToSingleSlice(&slice).ok()) {
      return Read::kEnd;
    }
    message->assign(reinterpret_cast<const char*>(slice.begin()), slice.size());
    return Read::kMessage;
  }
  absl::Status Finish() {
    grpc::Status status;
    call_->Finish(&status, this);
    Await();
    finished_ = true;
    return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  }
  // Of a finished call; none: it said nothing.
  std::optional<int64_t> retry_after_ms() const {
    const auto& metadata = context_.GetServerTrailingMetadata();
    const auto found = metadata.find("retry-after-ms");
    int64_t ms = 0;
    if (found == metadata.end() ||
        !absl::SimpleAtoi(absl::string_view(found->second.data(), found->second.size()), &ms)) {
      return std::nullopt;
    }
    return ms;
  }

 private:
  bool Await() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }

  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  grpc::ByteBuffer buffer_;
  bool reading_ = false;
  bool finished_ = false;
};

void AnswerError(const absl::Status& status, httplib::Response& response) {
  response.status = HttpStatusOf(status.code());
  response.set_content(ErrorToJson(status), "application/json");
}

}  // namespace

struct HttpServer::Impl {
  explicit Impl(std::shared_ptr<grpc::Channel> channel) : stub(std::move(channel)) {}

  void Serve(const httplib::Request& request, httplib::Response& response) {
    if (const absl::Status status = Answer(request, response); !status.ok()) {
      AnswerError(status, response);
    }
  }

  absl::Status Answer(const httplib::Request& request, httplib::Response& response) {
    TRIBUTARY_ASSIGN_OR_RETURN(const MethodDescriptor* method, FindMethod(request.matches[1].str()));
    std::string body = request.body;
    if (request.method == "GET") {
      if (!method->server_streaming()) {
        response.set_header("Allow", "POST");
        return Refuse(405, "this method wants POST", response);
      }
      body = request.get_param_value("request");
    } else if (!absl::StartsWith(request.get_header_value("Content-Type"), "application/json") &&
               !(method->client_streaming() &&
                 absl::StartsWith(request.get_header_value("Content-Type"), "application/x-ndjson"))) {
      return Refuse(415, "Content-Type must be application/json", response);
    }
    std::optional<absl::Duration> timeout;
    if (request.has_header("Timeout-Ms")) {
      int64_t ms = 0;
      if (!absl::SimpleAtoi(request.get_header_value("Timeout-Ms"), &ms) || ms < 1 || ms > kMaxTimeoutMs) {
        return absl::InvalidArgumentError(absl::StrCat("header Timeout-Ms must be 1 to ", kMaxTimeoutMs));
      }
      timeout = absl::Milliseconds(ms);
    } else if (!method->server_streaming()) {
      timeout = absl::Milliseconds(kDefaultTimeoutMs);
    }
    TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<std::string> requests, RequestsFromJson(*method, body));
    auto call = std::make_shared<Call>(stub, *method, timeout);
    call->Send(requests);
    if (method->server_streaming()) {
      response.set_header("Cache-Control", "no-store");
      response.set_chunked_content_provider(
          "text/event-stream",
          [this, call, method, last = std::chrono::steady_clock::now()](size_t, httplib::DataSink& sink) mutable {
            return SendEvent(*method, *call, &last, sink);
          });
      return absl::OkStatus();
    }
    std::string message;
    const bool answered = call->Next(kForever, &message) == Call::Read::kMessage;
    const absl::Status status = call->Finish();
    if (!status.ok()) {
      if (const std::optional<int64_t> ms = call->retry_after_ms()) {
        response.set_header("Retry-After", absl::StrCat((*ms + 999) / 1000));
      }
      return status;
    }
    if (!answered) {
      return absl::InternalError("the call had no answer");
    }
    TRIBUTARY_ASSIGN_OR_RETURN(const std::string json, ResponseToJson(*method, message));
    response.set_content(json, "application/json");
    return absl::OkStatus();
  }

  static absl::Status Refuse(int http_status, absl::string_view why, httplib::Response& response) {
    response.set_content(ErrorToJson(absl::InvalidArgumentError(why)), "application/json");
    response.status = http_status;
    return absl::OkStatus();
  }

  // The next event of a stream, or nothing for a while. False: the stream is over.
  bool SendEvent(const MethodDescriptor& method, Call& call, std::chrono::steady_clock::time_point* last,
                 httplib::DataSink& sink) {
    std::string message;
    std::string text;
    const Call::Read read = call.Next(kStreamLook, &message);
    if (read == Call::Read::kNothingYet) {
      if (stopping.load() || !sink.is_writable()) {
        return false;
      }
      if (std::chrono::steady_clock::now() - *last < absl::ToChronoNanoseconds(kSignOfLife)) {
        return true;
      }
      text = ":\n\n";
    } else if (read == Call::Read::kMessage) {
      const absl::StatusOr<std::string> json = ResponseToJson(method, message);
      text = json.ok() ? absl::StrCat("data: ", *json, "\n\n")
                       : absl::StrCat("event: error\ndata: ", ErrorToJson(json.status()), "\n\n");
    } else {
      const absl::Status status = call.Finish();
      if (!status.ok()) {
        text = absl::StrCat("event: error\ndata: ", ErrorToJson(status), "\n\n");
        sink.write(text.data(), text.size());
      }
      sink.done();
      return true;
    }
    *last = std::chrono::steady_clock::now();
    return sink.write(text.data(), text.size());
  }

  grpc::GenericStub stub;
  httplib::Server server;
  std::atomic<bool> stopping{false};
  int port = 0;
  std::thread thread;
};

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const Options& options,
                                                              std::shared_ptr<grpc::Channel> channel) {
  const size_t colon = options.address.rfind(':');
  int port = 0;
  if (colon == std::string::npos || !absl::SimpleAtoi(options.address.substr(colon + 1), &port) || port < 0 ||
      port > 65535) {
    return absl::InvalidArgumentError(absl::StrCat("http address refused, wants host:port: address=", options.address));
  }
  const std::string host = options.address.substr(0, colon);
  auto impl = std::make_unique<Impl>(std::move(channel));
  Impl* const self = impl.get();
  httplib::Server& server = impl->server;
  server.new_task_queue = [connections = options.connections] { return new ConnectionThreads(connections); };
  // Without the port's sharing that is httplib's default: two servers would share their clients by chance.
  server.set_socket_options([](socket_t socket) {
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  });
  server.set_payload_max_length(kMaxBodyBytes);
  server.set_keep_alive_timeout(kIdleSeconds);
  server.set_read_timeout(kIdleSeconds);
  server.set_pre_routing_handler([](const httplib::Request&, httplib::Response& response) {
    if (!refusing) {
      return httplib::Server::HandlerResponse::Unhandled;
    }
    AnswerError(absl::UnavailableError("too many connections: serving.http_connections"), response);
    response.set_header("Connection", "close");
    response.set_header("Retry-After", "1");
    return httplib::Server::HandlerResponse::Handled;
  });
  const auto serve = [self](const httplib::Request& request, httplib::Response& response) {
    self->Serve(request, response);
  };
  server.Post("/v1/(.+)", serve);
  server.Get("/v1/(.+)", serve);
  server.set_error_handler([](const httplib::Request&, httplib::Response& response) {
    if (response.body.empty()) {
      const int status = response.status;
      AnswerError(status == 413
                      ? absl::InvalidArgumentError(absl::StrCat("body is longer than ", kMaxBodyBytes, " bytes"))
                  : status == 404 ? absl::NotFoundError("no such path: POST /v1/{Service}/{Method}")
                                  : absl::InvalidArgumentError("request is not readable"),
                  response);
      response.status = status;
    }
  });
  impl->port = port == 0 ? server.bind_to_any_port(host) : server.bind_to_port(host, port) ? port : -1;
  if (impl->port <= 0) {
    return absl::UnavailableError(absl::StrCat("http address cannot be bound: address=", options.address));
  }
  impl->thread = std::thread([self] { self->server.listen_after_bind(); });
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() {
  impl_->stopping.store(true);
  impl_->server.stop();
  impl_->thread.join();
}

int HttpServer::port() const { return impl_->port; }

}  // namespace tributary::serving
