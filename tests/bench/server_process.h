#ifndef TRIBUTARY_TESTS_BENCH_SERVER_PROCESS_H_
#define TRIBUTARY_TESTS_BENCH_SERVER_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tests/bench/serving_world.h"

// Servers of a benchmark, each in a process of its own.
namespace tributary::serving {

void PinTo(int core);

// This program with other arguments, which say that it is to serve. Ends with the object.
class ServerProcess {
 public:
  // `core`: of the server, any when unset. Waits until it says its port.
  ServerProcess(std::vector<std::string> arguments, std::optional<int> core);
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  int port() const { return port_; }
  // Of all its threads, since it started.
  absl::Duration CpuTime() const;
  int64_t ResidentBytes() const;

 private:
  pid_t child_ = -1;
  int to_child_ = -1;
  int port_ = 0;
};

// Of the server: tells its ServerProcess the port, returns when that is gone.
void SayPortAndWait(int port);
// Our serving layer over the live world, until the ServerProcess is gone; `ready` is called when it is ready.
void ServeOurs(LiveWorld& world, const std::function<void()>& ready = [] {});

}  // namespace tributary::serving

#endif  // TRIBUTARY_TESTS_BENCH_SERVER_PROCESS_H_
