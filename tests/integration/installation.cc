#include "tests/integration/installation.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <utility>

#include <glog/logging.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

extern char** environ;

namespace tributary::integration {
namespace {

constexpr absl::Duration kAwaitLimit = absl::Minutes(1);
constexpr int kLookAgainMs = 10;   // Conditions of other processes can only be asked for.

int FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  CHECK_GE(fd, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  CHECK_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), length), 0);
  CHECK_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length), 0);
  close(fd);
  return ntohs(address.sin_port);
}

std::string Binary(const std::string& name) { return absl::StrCat(TRIBUTARY_BIN_DIR, "/", name); }

// A context that gives up in time, so that a test fails rather than hangs.
std::unique_ptr<grpc::ClientContext> Deadline(absl::Duration timeout = absl::Seconds(30)) {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  return context;
}

template <typename Response>
const Response& Checked(const grpc::Status& status, const Response& response, const char* what) {
  CHECK(status.ok()) << what << ": " << status.error_code() << " " << status.error_message();
  return response;
}

}  // namespace

Process::Process(const std::vector<std::string>& command, const std::string& log_path) : log_path_(log_path) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  // A test that ends without its destructors takes its programs with it.
  std::vector<std::string> with_parent = {"/usr/bin/setpriv", "--pdeathsig", "KILL", "--"};
  with_parent.insert(with_parent.end(), command.begin(), command.end());
  std::vector<char*> argv;
  for (const std::string& part : with_parent) {
    argv.push_back(const_cast<char*>(part.c_str()));
  }
  argv.push_back(nullptr);
  CHECK_EQ(posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ), 0) << argv[0];
  posix_spawn_file_actions_destroy(&actions);
}

Process::~Process() {
  if (Running()) {
    Signal(SIGKILL);
    Wait();
  }
}

void Process::Signal(int signal) {
  if (pid_ > 0) {
    kill(pid_, signal);
  }
}

int Process::Wait() {
  CHECK_GT(pid_, 0);
  int status = 0;
  CHECK_EQ(waitpid(pid_, &status, 0), pid_);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool Process::Running() {
  if (pid_ <= 0) {
    return false;
  }
  siginfo_t info{};
  CHECK_EQ(waitid(P_PID, pid_, &info, WEXITED | WNOHANG | WNOWAIT), 0);
  return info.si_pid == 0;
}

std::string Process::Log() const { return ReadText(log_path_); }

Installation::Installation(const std::string& name, int partitions, int checkpoint_ms, int segment_size)
    : dir_("tributary-" + name) {
  std::filesystem::create_directory(dir_.Join("snapshots"));
  std::filesystem::create_directory(dir_.Join("history"));
  address_ = absl::StrCat("127.0.0.1:", FreePort());
  config_path_ = dir_.Join("tributary.textproto");
  std::ofstream(config_path_) << "kafka { brokers: '" << kafka_.config().brokers() << "' topic_prefix: '"
                              << kafka_.config().topic_prefix()
                              << "' partitions: " << partitions << " segment_size: " << segment_size << " }\n"
                              << "storage { snapshots_dir: '" << dir_.Join("snapshots") << "' history_dir: '"
                              << dir_.Join("history") << "' }\n"
                              << "batch { ials { dimensions: 16 epochs: 3 } retire_grace_seconds: 0 }\n"
                              << "speed { checkpoint_ms: " << checkpoint_ms << " session_timeout_ms: 6000 }\n"
                              << "serving { listen_address: '" << address_
                              << "' serve_without_snapshot: true snapshot_poll_ms: 20 }\n";
  const Finished created = Run("tributary", {"--config", config_path_, "topics", "create"});
  CHECK_EQ(created.exit_status, 0) << created.output;
}

Installation::~Installation() {
  if (::testing::Test::HasFailure()) {
    dir_.Keep();
  }
}

std::string Installation::topic(absl::string_view name) const { return absl::StrCat(kafka_.config().topic_prefix(), name); }

Finished Installation::Run(const std::string& binary, const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {Binary(binary)};
  command.insert(command.end(), arguments.begin(), arguments.end());
  const std::string log = dir_.Join(absl::StrCat("run-", binary, ".log"));
  std::filesystem::remove(log);
  Process process(command, log);
  const int status = process.Wait();
  return {.exit_status = status, .output = process.Log()};
}

void Installation::RunBatch() {
  const Finished run = Run("tributary-batch", {"--config", config_path_, "run"});
  ASSERT_EQ(run.exit_status, 0) << run.output;
}

std::unique_ptr<Process> Installation::StartBatch() {
  return std::make_unique<Process>(std::vector<std::string>{Binary("tributary-batch"), "--config", config_path_, "run"},
                                   dir_.Join("batch.log"));
}

std::unique_ptr<Process> Installation::StartSpeed(const std::string& instance,
                                                  const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {Binary("tributary-speed"), "--config", config_path_, "--instance", instance};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return std::make_unique<Process>(command, dir_.Join(instance + ".log"));
}

std::unique_ptr<Process> Installation::StartServing(const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {Binary("tributary-serving"), "--config", config_path_};
  command.insert(command.end(), arguments.begin(), arguments.end());
  auto process = std::make_unique<Process>(command, dir_.Join("serving.log"));
  Connect();
  Await("serving answers", [&] {
    CHECK(process->Running()) << process->Log();
    // Waits for the connection: a call that fails for want of one may leave the channel at rest for seconds.
    const auto context = Deadline(absl::Seconds(1));
    context->set_wait_for_ready(true);
    v1::GetFreshnessResponse response;
    return admin_->GetFreshness(context.get(), {}, &response).ok();
  });
  return process;
}

void Installation::Connect() {
  grpc::ChannelArguments arguments;
  // A server that was killed and started again must be found again at once.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 20);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const auto channel = grpc::CreateCustomChannel("ipv4:" + address_, grpc::InsecureChannelCredentials(), arguments);
  recommendations_ = v1::RecommendationService::NewStub(channel);
  events_ = v1::EventService::NewStub(channel);
  catalogue_ = v1::CatalogueService::NewStub(channel);
  analytics_ = v1::AnalyticsService::NewStub(channel);
  admin_ = v1::AdminService::NewStub(channel);
}

v1::PublishResponse Installation::Publish(const std::string& user, v1::EventType type, const std::string& item,
                                          double value) {
  v1::PublishRequest request;
  v1::Event& event = *request.mutable_event();
  event.set_user_id(user);
  event.set_type(type);
  event.set_item_id(item);
  if (value > 0) {
    event.set_value(value);
  }
  v1::PublishResponse response;
  return Checked(events_->Publish(Deadline().get(), request, &response), response, "Publish");
}

v1::RecommendResponse Installation::RecommendAfter(const v1::FreshnessToken& token, const std::string& user, int limit) {
  v1::RecommendRequest request;
  request.set_user_id(user);
  request.set_limit(limit);
  *request.mutable_min_freshness() = token;
  request.mutable_max_wait()->set_seconds(10);
  v1::RecommendResponse response;
  Await(absl::StrCat("answer up to partition ", token.position().partition(), " offset ", token.position().offset()),
        [&] {
          Checked(recommendations_->Recommend(Deadline().get(), request, &response), response, "Recommend");
          for (const auto degradation : response.freshness().degraded()) {
            if (degradation == v1::FRESHNESS_NOT_REACHED) {
              return false;
            }
          }
          return true;
        });
  return response;
}

v1::RecommendResponse Installation::Recommend(const std::string& user, int limit) {
  v1::RecommendRequest request;
  request.set_user_id(user);
  request.set_limit(limit);
  v1::RecommendResponse response;
  return Checked(recommendations_->Recommend(Deadline().get(), request, &response), response, "Recommend");
}

void Installation::AwaitGeneration(int64_t generation) {
  Await(absl::StrCat("generation ", generation), [&] {
    v1::GetFreshnessResponse response;
    return admin_->GetFreshness(Deadline().get(), {}, &response).ok() &&
           response.freshness().generation() == generation;
  });
}

void Installation::AwaitCaughtUp() {
  const int partitions = log().PartitionCount(topic("events")).value();  // There may be more than at the beginning.
  for (int p = 0; p < partitions; ++p) {
    const auto range = log().Offsets({topic("events"), PartitionId{p}}, Isolation::kCommitted);
    CHECK(range.ok()) << range.status();
    if (Value(range->end) == 0) {
      continue;
    }
    Await(absl::StrCat("partition ", p, " applied up to ", Value(range->end)),
          [&] { return Applied(p) >= Value(range->end); });
  }
}

int64_t Installation::Applied(int partition) {
  v1::GetFreshnessResponse response;
  if (admin_->GetFreshness(Deadline().get(), {}, &response).ok()) {
    for (const auto& known : response.freshness().partitions()) {
      if (known.partition() == partition) {
        return known.applied_offset();
      }
    }
  }
  return 0;
}

v1::TotalsResponse Installation::Totals(v1::Measure measure, const std::vector<std::string>& keys) {
  v1::TotalsRequest request;
  request.set_measure(measure);
  for (const std::string& key : keys) {
    request.add_keys(key);
  }
  v1::TotalsResponse response;
  return Checked(analytics_->Totals(Deadline().get(), request, &response), response, "Totals");
}

void Installation::AwaitCounted(int64_t events) {
  Await(absl::StrCat(events, " events counted"), [&] { return SumOfEvents(Totals(v1::OVERALL)) >= events; });
}

int64_t SumOfEvents(const v1::TotalsResponse& totals) {
  int64_t sum = 0;
  for (const auto& total : totals.totals()) {
    sum += total.events();
  }
  return sum;
}

void Await(const std::string& what, const std::function<bool()>& condition) {
  const absl::Time limit = absl::Now() + kAwaitLimit;
  while (!condition()) {
    CHECK(absl::Now() < limit) << "waited in vain for: " << what;
    poll(nullptr, 0, kLookAgainMs);
  }
}

}  // namespace tributary::integration
