#ifndef TRIBUTARY_SERVING_LAYER_API_HTTP_SERVER_H_
#define TRIBUTARY_SERVING_LAYER_API_HTTP_SERVER_H_

#include <memory>
#include <string>

#include <grpcpp/channel.h>

#include "absl/status/statusor.h"

namespace tributary::serving {

// The API as JSON over HTTP/1.1, for browsers and scripts: each request is a call on a gRPC channel, so that checks, limits,
// admission and metrics are those of the rpc.
//
//   POST /v1/{Service}/{Method}   The body is the request as JSON, of Content-Type application/json (which no page of another
//                                 site can send unasked); for a client-streaming rpc a request a line. Answers the response
//                                 as JSON, or an error with the HTTP status of its code. A server-streaming rpc answers
//                                 server-sent events: `data:` a response, `event: error` the end. Header Timeout-Ms: the
//                                 deadline, 1 to 600,000; default 30,000, none for a stream.
//   GET /v1/{Service}/{Method}?request=JSON   For a server-streaming rpc alone: what EventSource sends.
//
// Limits:  `connections` at a time, a thread each; one more is answered 503 and closed. Bodies up to 1 MiB: 413. An idle
//          connection is closed after 5 s.
class HttpServer {
 public:
  struct Options {
    std::string address;     // host:port; port 0: any.
    int connections = 0;
  };

  // InvalidArgument: no host:port. Unavailable: the address cannot be bound.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const Options& options, std::shared_ptr<grpc::Channel> channel);
  // Ends streams, and waits for running requests.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  int port() const;

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_API_HTTP_SERVER_H_
