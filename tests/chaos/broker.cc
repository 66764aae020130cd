#include "tests/chaos/broker.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "glog/logging.h"

namespace tributary::chaos {

Broker::Broker() : address_(Run(absl::StrCat("--port 0 --owner ", getpid(), " start"))) {}

Broker::~Broker() { Run("wipe"); }

void Broker::Kill() { Run("kill"); }

void Broker::Start() { CHECK_EQ(Run("start"), address_); }

std::string Broker::Run(const std::string& command) const {
  const char* script = std::getenv("TRIBUTARY_KAFKA_SH");
  const std::string line =
      absl::StrCat("'", script == nullptr ? TRIBUTARY_SOURCE_DIR "/deploy/kafka/kafka.sh" : script, "' --dir '",
                   dir_.path(), "' ", command);
  FILE* const pipe = popen(line.c_str(), "r");
  CHECK(pipe != nullptr) << line;
  std::string output;
  for (char buffer[256]; fgets(buffer, sizeof(buffer), pipe) != nullptr;) {
    output += buffer;
  }
  CHECK_EQ(pclose(pipe), 0) << line;
  return std::string(absl::StripAsciiWhitespace(output));
}

}  // namespace tributary::chaos
