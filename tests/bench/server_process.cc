#include "tests/bench/server_process.h"

#include <fcntl.h>
#include <glog/logging.h>
#include <sched.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <thread>

#include "common/process/scheduling.h"
#include "serving_layer/serving_layer.h"
#include "tests/bench/process_usage.h"

namespace tributary::serving {

void PinTo(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core % static_cast<int>(std::max(1U, std::thread::hardware_concurrency())), &set);
  if (sched_setaffinity(0, sizeof(set), &set) != 0) {
    LOG(WARNING) << "not pinned: core=" << core << " error=" << std::strerror(errno);
  }
}

ServerProcess::ServerProcess(std::vector<std::string> arguments, std::optional<int> core) {
  int in[2];
  int out[2];
  CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
  arguments.insert(arguments.begin(), "/proc/self/exe");
  std::vector<char*> argv;
  for (std::string& argument : arguments) {
    argv.push_back(argument.data());
  }
  argv.push_back(nullptr);
  child_ = fork();
  CHECK(child_ >= 0);
  if (child_ == 0) {
    dup2(in[0], 0);
    dup2(out[1], 1);
    if (core) {
      PinTo(*core);
    }
    execv(argv[0], argv.data());
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  to_child_ = in[1];
  std::FILE* answers = fdopen(out[0], "r");
  CHECK(std::fscanf(answers, "%d", &port_) == 1) << "server did not start: " << arguments[1];
  std::fclose(answers);
}

ServerProcess::~ServerProcess() {
  close(to_child_);
  waitpid(child_, nullptr, 0);
}

absl::Duration ServerProcess::CpuTime() const {
  clockid_t clock;
  timespec time;
  CHECK(clock_getcpuclockid(child_, &clock) == 0 && clock_gettime(clock, &time) == 0);
  return absl::DurationFromTimespec(time);
}

int64_t ServerProcess::ResidentBytes() const { return bench::ResidentBytes(child_); }

void SayPortAndWait(int port) {
  std::printf("%d\n", port);
  std::fflush(stdout);
  while (std::getchar() != EOF) {  // Until the client closes its end.
  }
}

void ServeOurs(LiveWorld& world, const std::function<void()>& ready) {
  SetUrgency(Urgency::kPrompt);   // As tributary-serving does.
  auto serving = ServingLayer::Start(world.config, world.log, world.clock, world.metrics);
  CHECK(serving.ok()) << serving.status();
  while (!(*serving)->ready()) {
    std::this_thread::yield();
  }
  ready();
  SayPortAndWait((*serving)->port());
}

}  // namespace tributary::serving
