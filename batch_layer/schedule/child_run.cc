#include "batch_layer/schedule/child_run.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace tributary::batch {

absl::StatusOr<int> RunSelf(const std::vector<std::string>& arguments, const std::function<bool()>& stopped,
                            absl::Duration poll) {
  constexpr char kSelf[] = "/proc/self/exe";
  constexpr int kNotStarted = 127;
  std::vector<char*> argv = {const_cast<char*>(kSelf)};
  for (const std::string& argument : arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) {
    return absl::UnavailableError(absl::StrCat("no process for the run: error=", std::strerror(errno)));
  }
  if (child == 0) {
    // Only calls that are safe between fork and exec in a program with threads. The parent may have died before the
    // prctl.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() == parent) {
      ::execv(kSelf, argv.data());
    }
    ::_exit(kNotStarted);
  }
  bool told = false;
  for (;;) {
    int status = 0;
    const pid_t ended = ::waitpid(child, &status, WNOHANG);
    if (ended == child) {
      return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    if (ended < 0 && errno != EINTR) {
      return absl::InternalError(
          absl::StrCat("run cannot be waited for: pid=", child, " error=", std::strerror(errno)));
    }
    if (!told && stopped()) {
      told = true;
      ::kill(child, SIGTERM);
    }
    absl::SleepFor(poll);
  }
}

}  // namespace tributary::batch
