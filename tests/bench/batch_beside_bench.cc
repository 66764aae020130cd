// What a batch run at full tilt does to serving on the same cores: p99 of Recommend with one beside it, as
// deploy/README.md advises to start it (chrt --idle, ionice -c 3), beside p99 without one. A server as in bench
// serving, asked 500 times a second whatever it answers. Runs of tributary-batch on a synthetic history follow one
// another meanwhile, on all cores; how many cores they got is reported. The phases take turns, and each figure is the
// median of its turns. The same with a core left to serving, and without any advice, is shown too.
#include <fcntl.h>
#include <glog/logging.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/bench/recommend_load.h"
#include "tests/bench/report.h"
#include "tests/bench/server_process.h"
#include "tests/bench/serving_world.h"
#include "tests/bench/statistics.h"
#include "tests/fakes/temp_dir.h"

namespace tributary::serving {
namespace {

constexpr int kTurns = 3;
constexpr int kRequestsPerSecond = 500;
constexpr const char* kAdvised[] = {"chrt", "--idle", "0", "ionice", "-c", "3"};

struct Size {
  Scale serving;
  int batch_users = 30'000;
  int batch_items = 5'000;
  int events_per_user = 20;
};

Size SizeOf(bool smoke) {
  Size size;
  if (smoke) {
    size = {.serving = {.users = 500,
                        .items = 300,
                        .warm_up = absl::Milliseconds(200),
                        .measured = absl::Milliseconds(500)},
            .batch_users = 300,
            .batch_items = 200};
  } else {
    size.serving.measured = absl::Seconds(6);
  }
  return size;
}

pid_t Spawn(const std::vector<std::string>& command, const std::string& log) {
  std::vector<char*> argv;
  for (const std::string& argument : command) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    dup2(out, 1);
    dup2(out, 2);
    execvp(argv[0], argv.data());
    _exit(127);
  }
  return child;
}

// A history of uniform purchases, and runs over it.
class Batch {
 public:
  Batch(const TempDir& dir, const Size& size) : log_(dir.Join("batch.log")) {
    config_ = dir.Write("config", absl::StrCat("storage { snapshots_dir: '", dir.Join("built"), "' history_dir: '",
                                               dir.Join("history"), "' }"));
    const std::string mapping = dir.Write("mapping", R"(
      format: CSV
      event_time { value { text: "{time}" } format: "unix_s" }
      type_rules { type: PURCHASE }
      user_id { text: "{user}" }
      item_id { text: "{item}" })");
    const std::string events = dir.Join("events.csv");
    {
      std::ofstream out(events);
      std::mt19937_64 random(11);
      out << "time,user,item\n";
      for (int i = 0; i < size.batch_users * size.events_per_user; ++i) {
        out << 1'600'000'000 + i << ",u" << random() % static_cast<uint64_t>(size.batch_users) << ",i"
            << random() % static_cast<uint64_t>(size.batch_items) << "\n";
      }
    }
    const int imported = Wait(Spawn({Program(), "--config", config_, "import", events, "--mapping", mapping}, log_));
    CHECK_EQ(imported, 0) << ReadText(log_);
    // One run to its end: what is measured beside is work that succeeds.
    const int ran = Wait(Spawn(RunCommand(), log_));
    CHECK_EQ(ran, 0) << ReadText(log_);
  }

  // Makes runs, one after the other, until Stop.
  void Start(const std::vector<std::string>& prefix) {
    stopping_ = false;
    std::vector<std::string> command = prefix;
    for (const std::string& argument : RunCommand()) {
      command.push_back(argument);
    }
    child_ = Spawn(command, log_);
    runner_ = std::thread([this, command] {
      while (true) {
        const int code = Wait(child_);
        if (stopping_) return;
        CHECK_EQ(code, 0) << ReadText(log_);
        child_ = Spawn(command, log_);
        if (stopping_) kill(child_, SIGKILL);  // Stop may have seen the one before.
      }
    });
  }
  // Answers the CPU time of the runs.
  absl::Duration Stop() {
    stopping_ = true;
    kill(child_, SIGKILL);
    runner_.join();
    rusage now;
    CHECK(getrusage(RUSAGE_CHILDREN, &now) == 0);
    const absl::Duration all = absl::DurationFromTimeval(now.ru_utime) + absl::DurationFromTimeval(now.ru_stime);
    return all - std::exchange(used_, all);
  }
  // What was used before counts for none.
  void Forget() {
    rusage now;
    CHECK(getrusage(RUSAGE_CHILDREN, &now) == 0);
    used_ = absl::DurationFromTimeval(now.ru_utime) + absl::DurationFromTimeval(now.ru_stime);
  }

 private:
  static std::string Program() {
    return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "tributary-batch").string();
  }
  std::vector<std::string> RunCommand() const {
    return {Program(), "--config", config_, "run", "--no-kafka", "--no-activate"};
  }
  static int Wait(pid_t child) {
    int status = 0;
    CHECK_EQ(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  const std::string log_;
  std::string config_;
  std::atomic<bool> stopping_ = false;
  std::atomic<pid_t> child_ = -1;
  std::thread runner_;
  absl::Duration used_;
};

int Main(bool smoke) {
  const Size size = SizeOf(smoke);
  const TempDir dir("tributary-bench");
  const std::string snapshots = dir.Join("snapshots");
  std::filesystem::create_directory(snapshots);
  WriteSnapshot(snapshots, size.serving);
  Batch batch(dir, size);
  const ServerProcess server({"--serve", snapshots, smoke ? "smoke" : "full"}, std::nullopt);

  struct Way {
    const char* name;
    std::vector<std::string> prefix;  // Of the command.
    std::vector<double> p99_ms;
    std::vector<double> cores;        // That the runs had.
  };
  std::vector<std::string> leaving_a_core = {"taskset", "-c", absl::StrCat("1-", std::thread::hardware_concurrency() - 1)};
  leaving_a_core.insert(leaving_a_core.end(), std::begin(kAdvised), std::end(kAdvised));
  std::vector<Way> ways = {{"recommend_p99", {std::begin(kAdvised), std::end(kAdvised)}},
                           {"recommend_p99_leaving_a_core", leaving_a_core},
                           {"recommend_p99_unadvised", {}}};
  if (std::thread::hardware_concurrency() < 2) ways.erase(ways.begin() + 1);
  std::vector<double> without;
  const auto ask = [&] {
    const LoadResult result = AskSteadily({.address = absl::StrCat("127.0.0.1:", server.port()),
                                           .users = size.serving.users,
                                           .requests_per_second = kRequestsPerSecond,
                                           .warm_up = size.serving.warm_up,
                                           .measured = size.serving.measured,
                                           .connections = 1});
    CHECK_EQ(result.failed, 0) << result.first_failure;
    return bench::MillisecondsWithin(TimesOf(result.answers), 0.99);
  };
  for (int turn = 0; turn < kTurns; ++turn) {
    without.push_back(ask());
    for (Way& way : ways) {
      batch.Forget();
      const absl::Time began = absl::Now();
      batch.Start(way.prefix);
      way.p99_ms.push_back(ask());
      const double wall = absl::ToDoubleSeconds(absl::Now() - began);
      way.cores.push_back(absl::ToDoubleSeconds(batch.Stop()) / wall);
      std::fprintf(stderr, "turn %d: %s %.2f ms, without %.2f ms; the runs had %.2f cores\n", turn + 1, way.name,
                   way.p99_ms.back(), without.back(), way.cores.back());
    }
  }
  bench::Report report("batch_beside");
  for (const Way& way : ways) {
    report.Add(absl::StrCat(way.name, "_ms"), bench::Median(way.p99_ms), "ms", "without a batch run", bench::Median(without));
    report.Add(absl::StrCat(way.name, "_batch_cores"), bench::Median(way.cores), "cores");
  }
  return 0;
}

}  // namespace
}  // namespace tributary::serving

int main(int argc, char** argv) {
  google::InitGoogleLogging(argv[0]);
  FLAGS_logtostderr = true;
  FLAGS_minloglevel = google::GLOG_WARNING;
  using namespace tributary::serving;
  if (argc == 4 && std::strcmp(argv[1], "--serve") == 0) {
    LiveWorld world(argv[2], SizeOf(std::strcmp(argv[3], "smoke") == 0).serving);
    ServeOurs(world);
    return 0;
  }
  return Main(argc > 1 && std::strcmp(argv[1], "--smoke") == 0);
}
