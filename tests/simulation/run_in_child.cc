#include "tests/simulation/run_in_child.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/personality.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "google/protobuf/stubs/logging.h"
#include "tests/simulation/plan.h"

namespace tributary::simulation {
namespace {

namespace fs = std::filesystem;

constexpr unsigned kMaxSeconds = 120;

std::string MakeDirectory() {
  std::error_code error;
  const fs::path base = fs::is_directory("/dev/shm", error) && access("/dev/shm", W_OK) == 0
                            ? fs::path("/dev/shm")
                            : fs::temp_directory_path();
  std::string path = (base / "tributary-simulation-XXXXXX").string();
  CHECK(mkdtemp(path.data()) != nullptr) << path;
  return path;
}

void WriteAll(int descriptor, const std::string& bytes) {
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t written = write(descriptor, bytes.data() + at, bytes.size() - at);
    if (written <= 0) _exit(2);
    at += static_cast<size_t>(written);
  }
}

std::string ReadAll(int descriptor) {
  std::string bytes;
  char buffer[4096];
  for (ssize_t got; (got = read(descriptor, buffer, sizeof(buffer))) > 0;) bytes.append(buffer, static_cast<size_t>(got));
  return bytes;
}

// What the child tells: tally, steps done, the check's name, and what it says.
static_assert(std::is_trivially_copyable_v<Tally>);
constexpr size_t kHeaderBytes = sizeof(Tally) + sizeof(size_t);

[[noreturn]] void Child(const std::vector<Step>& steps, const std::string& dir, int result) {
  alarm(kMaxSeconds);
  signal(SIGXFSZ, SIG_IGN);  // A full disk is an error of the call.
  google::protobuf::SetLogHandler(nullptr);  // The reference lets protobuf find the text that is not UTF-8.
  World world(dir);
  const absl::Status status = world.Run(steps);
  const Tally tally = world.tally();
  const size_t done = world.steps_done();
  std::string told(reinterpret_cast<const char*>(&tally), sizeof(tally));
  told.append(reinterpret_cast<const char*>(&done), sizeof(done));
  if (!status.ok()) absl::StrAppend(&told, CheckOf(status), "\n", status.message());
  WriteAll(result, told);
  _exit(0);  // What is left in memory is nobody's.
}

}  // namespace

Outcome RunInChild(const std::vector<Step>& steps) {
  const std::string dir = MakeDirectory();
  int ends[2];
  CHECK_EQ(pipe(ends), 0);
  const pid_t child = fork();
  CHECK_GE(child, 0);
  if (child == 0) {
    close(ends[0]);
    Child(steps, dir, ends[1]);
  }
  close(ends[1]);
  const std::string told = ReadAll(ends[0]);
  close(ends[0]);
  int status = 0;
  CHECK_EQ(waitpid(child, &status, 0), child);
  fs::remove_all(dir);

  Outcome outcome;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || told.size() < kHeaderBytes) {
    outcome.check = "crash";
    outcome.detail = WIFSIGNALED(status) ? absl::StrCat("signal ", strsignal(WTERMSIG(status)))
                                         : absl::StrCat("exit ", WEXITSTATUS(status));
    outcome.steps_done = steps.size();
    return outcome;
  }
  std::memcpy(&outcome.tally, told.data(), sizeof(Tally));
  std::memcpy(&outcome.steps_done, told.data() + sizeof(Tally), sizeof(size_t));
  const std::string text = told.substr(kHeaderBytes);
  outcome.check = text.substr(0, text.find('\n'));
  outcome.detail = text.empty() ? "" : text.substr(text.find('\n') + 1);
  return outcome;
}

Outcome RunSeed(uint64_t seed) {
  Outcome outcome = RunInChild(MakePlan(seed));
  const Tally& tally = outcome.tally;
  if (outcome.ok() && (tally.events < kMinEvents || tally.faults < kMinFaults || tally.swaps < kMinSwaps ||
                       tally.rollbacks < kMinRollbacks)) {
    outcome.check = "tally";
    outcome.detail = absl::StrCat("too tame: events=", tally.events, " faults=", tally.faults, " swaps=", tally.swaps,
                                  " rollbacks=", tally.rollbacks);
  }
  return outcome;
}

void FixAddresses(char** argv) {
  const int now = personality(0xffffffff);
  if (now == -1 || (now & ADDR_NO_RANDOMIZE) != 0) return;
  // Where that is not allowed (some containers), only the order of records with equal meaning may differ.
  if (personality(static_cast<unsigned long>(now) | ADDR_NO_RANDOMIZE) == -1) return;
  execv("/proc/self/exe", argv);
}

}  // namespace tributary::simulation
