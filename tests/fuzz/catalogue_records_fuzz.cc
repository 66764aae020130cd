#include <cmath>

#include <glog/logging.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/util/json_util.h>

#include "common/merge/rule_set.h"
#include "serving_layer/context/records.h"
#include "tests/fuzz/fuzz_target.h"

// Any bytes as a record of `items`, `users` and `rules`: what is taken is valid, has the key's id and is read again from its
// own bytes; what is refused says so by its code.
namespace tributary::fuzz {
namespace {

constexpr absl::string_view kKey = "tea";

[[maybe_unused]] const bool kQuiet = (google::protobuf::SetLogHandler(nullptr), true);

template <typename Message>
void Check(absl::StatusOr<Message> (*parse)(absl::string_view, absl::string_view), absl::Status (*validate)(const Message&),
           const std::string& (Message::*id)() const, absl::string_view value) {
  const absl::StatusOr<Message> message = parse(kKey, value);
  if (!message.ok()) {
    CHECK(absl::IsInvalidArgument(message.status())) << message.status();
    return;
  }
  CHECK(validate(*message).ok());
  CHECK(((*message).*id)() == kKey);
  const std::string bytes = message->SerializeAsString();
  const absl::StatusOr<Message> again = parse(kKey, bytes);
  CHECK(again.ok()) << again.status();
  CHECK(again->SerializeAsString() == bytes);
}

void AddSeeds(const google::protobuf::Message& message, std::vector<std::string>& seeds) {
  seeds.push_back(message.SerializeAsString());
  CHECK(google::protobuf::util::MessageToJsonString(message, &seeds.emplace_back()).ok());
}

}  // namespace

std::vector<std::string> FuzzSeeds() {
  std::vector<std::string> seeds;
  v1::Item item;
  item.set_item_id(std::string(kKey));
  item.set_title("T\xc3\xa9");
  item.add_categories("drinks");
  item.set_price(2.5);
  item.set_stock(3);
  AddSeeds(item, seeds);
  v1::UserRecord user;
  user.set_user_id(std::string(kKey));
  user.set_segment("new");
  AddSeeds(user, seeds);
  for (const v1::RuleAction action : {v1::BOOST, v1::PIN, v1::HIDE}) {
    v1::Rule rule;
    rule.set_rule_id(std::string(kKey));
    rule.set_action(action);
    rule.set_category("drinks");
    if (action == v1::BOOST) rule.set_strength(0.5);
    AddSeeds(rule, seeds);
  }
  return seeds;
}

}  // namespace tributary::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary;
  const absl::string_view value(reinterpret_cast<const char*>(data), size);
  fuzz::Check<v1::Item>(&serving::ParseItem, &serving::ValidateItem, &v1::Item::item_id, value);
  fuzz::Check<v1::UserRecord>(&serving::ParseUserRecord, &serving::ValidateUserRecord, &v1::UserRecord::user_id, value);
  fuzz::Check<v1::Rule>(&serving::ParseRule, &ValidateRule, &v1::Rule::rule_id, value);
  return 0;
}
