#ifndef TRIBUTARY_TESTS_INTEGRATION_INSTALLATION_H_
#define TRIBUTARY_TESTS_INTEGRATION_INSTALLATION_H_

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tests/fakes/temp_dir.h"
#include "tests/integration/kafka_fixture.h"
#include "tributary/v1/admin_service.grpc.pb.h"
#include "tributary/v1/analytics_service.grpc.pb.h"
#include "tributary/v1/catalogue_service.grpc.pb.h"
#include "tributary/v1/event_service.grpc.pb.h"
#include "tributary/v1/recommendation_service.grpc.pb.h"

namespace tributary::integration {

// A program of ours that runs beside the test. Killed when it goes.
class Process {
 public:
  Process(const std::vector<std::string>& command, const std::string& log_path);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void Signal(int signal);
  // Waits for the end; the exit status, or 128 + signal.
  int Wait();
  // True until it ended.
  bool Running();
  std::string Log() const;
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  std::string log_path_;
};

struct Finished {
  int exit_status = -1;
  std::string output;   // stdout and stderr, in the order written.
};

// The three layers of one test on the real Kafka of the run: own topics, own folder, own ports.
class Installation {
 public:
  // `name` is part of the folder's name. Creates the topics with `partitions` partitions of `events`. Checkpoints come more
  // often than by default, so that tests have many of them.
  explicit Installation(const std::string& name, int partitions = 3, int checkpoint_ms = 50, int segment_size = 64);
  ~Installation();

  const std::string& config_path() const { return config_path_; }
  const std::string& dir() const { return dir_.path(); }
  // Of serving, host:port.
  const std::string& address() const { return address_; }
  // The Kafka of the run, and the full name of one of our topics.
  EventLog& log() { return kafka_.log(); }
  std::string topic(absl::string_view name) const;

  // Runs one of our binaries to its end.
  Finished Run(const std::string& binary, const std::vector<std::string>& arguments);
  // `tributary-batch run`, which must succeed.
  void RunBatch();
  std::unique_ptr<Process> StartBatch();
  std::unique_ptr<Process> StartSpeed(const std::string& instance = "speed-0",
                                      const std::vector<std::string>& arguments = {});
  // Starts serving and waits until it answers.
  std::unique_ptr<Process> StartServing(const std::vector<std::string>& arguments = {});

  v1::RecommendationService::Stub& recommendations() { return *recommendations_; }
  v1::EventService::Stub& events() { return *events_; }
  v1::CatalogueService::Stub& catalogue() { return *catalogue_; }
  v1::AnalyticsService::Stub& analytics() { return *analytics_; }
  v1::AdminService::Stub& admin() { return *admin_; }

  // Publishes through serving, now; must succeed.
  v1::PublishResponse Publish(const std::string& user, v1::EventType type, const std::string& item, double value = 0);
  // An answer that holds everything up to `token`; must come within 30 s.
  v1::RecommendResponse RecommendAfter(const v1::FreshnessToken& token, const std::string& user, int limit = 20);
  v1::RecommendResponse Recommend(const std::string& user, int limit = 20);
  // Waits until serving answers from `generation`.
  void AwaitGeneration(int64_t generation);
  // Waits until every partition's applied offset has reached its end.
  void AwaitCaughtUp();
  // Waits until at least this many events are counted. Counts come with the speed layer's checkpoints, a little behind the
  // facts. An event that is lost never comes; one that is counted twice is found by whoever looks next.
  void AwaitCounted(int64_t events);
  v1::TotalsResponse Totals(v1::Measure measure, const std::vector<std::string>& keys = {});

 private:
  void Connect();
  // As far as the partition's events are in what serving answers; 0: it knows of none.
  int64_t Applied(int partition);

  KafkaFixture kafka_;
  TempDir dir_;
  std::string config_path_;
  std::string address_;
  std::unique_ptr<v1::RecommendationService::Stub> recommendations_;
  std::unique_ptr<v1::EventService::Stub> events_;
  std::unique_ptr<v1::CatalogueService::Stub> catalogue_;
  std::unique_ptr<v1::AnalyticsService::Stub> analytics_;
  std::unique_ptr<v1::AdminService::Stub> admin_;
};

// Over all keys and types.
int64_t SumOfEvents(const v1::TotalsResponse& totals);

// Asks `condition` until it holds; aborts the test run with `what` after a minute.
void Await(const std::string& what, const std::function<bool()>& condition);

}  // namespace tributary::integration

#endif  // TRIBUTARY_TESTS_INTEGRATION_INSTALLATION_H_
