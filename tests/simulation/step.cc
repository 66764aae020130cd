#include "tests/simulation/step.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "tributary/v1/catalogue.pb.h"
#include "tributary/v1/event.pb.h"

namespace tributary::simulation {
namespace {

const char* NameOf(Action action) {
  switch (action) {
    case Action::kPublish:
      return "publish";
    case Action::kTransaction:
      return "publish in a transaction";
    case Action::kImport:
      return "import";
    case Action::kItem:
      return "item";
    case Action::kRule:
      return "rule";
    case Action::kUser:
      return "user record";
    case Action::kSpeed:
      return "speed round";
    case Action::kStartSpeed:
      return "start speed";
    case Action::kBatch:
      return "batch run";
    case Action::kActivate:
      return "activate";
    case Action::kFollow:
      return "follow topics";
    case Action::kLook:
      return "look at CURRENT";
    case Action::kCopy:
      return "copy a file";
    case Action::kAsk:
      return "ask";
    case Action::kTick:
      return "time passes";
    case Action::kQuiet:
      return "quiet point";
    case Action::kCrashSpeed:
      return "crash speed";
    case Action::kZombie:
      return "zombie round";
    case Action::kStopSpeed:
      return "stop speed";
    case Action::kRestart:
      return "restart replica";
    case Action::kExpireMember:
      return "session expires";
    case Action::kExpireTransaction:
      return "transaction expires";
    case Action::kRebalance:
      return "rebalance";
    case Action::kFail:
      return "fail";
    case Action::kPause:
      return "pause in the middle of a round";
    case Action::kHold:
      return "hold partition";
    case Action::kRelease:
      return "release partition";
    case Action::kDelayMarkers:
      return "delay markers";
    case Action::kReleaseMarkers:
      return "release markers";
    case Action::kBroker:
      return "broker away or back";
    case Action::kCompact:
      return "compact";
    case Action::kTruncate:
      return "retention";
    case Action::kAddPartition:
      return "add a partition";
    case Action::kJumpClock:
      return "clock jumps";
    case Action::kDiskFull:
      return "batch run on a full disk";
    case Action::kLeftovers:
      return "leftovers of killed runs";
  }
  return "?";
}

template <typename Message>
std::string Read(const std::string& bytes) {
  Message message;
  return message.ParseFromString(bytes) ? message.ShortDebugString() : absl::CHexEscape(bytes.substr(0, 80));
}

std::string TextOf(const Step& step) {
  switch (step.action) {
    case Action::kPublish:
    case Action::kTransaction:
      return !step.text.empty() && step.text[0] == '{' ? step.text : Read<v1::Event>(step.text);
    case Action::kItem:
      return Read<v1::Item>(step.text);
    case Action::kRule:
      return Read<v1::Rule>(step.text);
    case Action::kUser:
      return Read<v1::UserRecord>(step.text);
    default:
      return step.text;
  }
}

}  // namespace

bool IsFault(Action action) { return action >= Action::kCrashSpeed; }

std::string Describe(const Step& step) {
  return absl::StrCat(NameOf(step.action), " [", step.who, " ", step.number, " ", step.more, "] ", TextOf(step));
}

}  // namespace tributary::simulation
