#ifndef TRIBUTARY_TESTS_CHAOS_BROKER_H_
#define TRIBUTARY_TESTS_CHAOS_BROKER_H_

#include <string>

#include "tests/fakes/temp_dir.h"

namespace tributary::chaos {

// A Kafka of one's own, to be killed: deploy/kafka/kafka.sh in a temporary folder, on free ports that stay the same.
class Broker {
 public:
  Broker();
  ~Broker();
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;

  const std::string& address() const { return address_; }   // host:port
  // SIGKILL; the data stays.
  void Kill();
  // After Kill. Returns when it answers.
  void Start();

 private:
  // What the command prints.
  std::string Run(const std::string& command) const;

  TempDir dir_{"tributary-chaos-kafka"};
  std::string address_;
};

}  // namespace tributary::chaos

#endif  // TRIBUTARY_TESTS_CHAOS_BROKER_H_
