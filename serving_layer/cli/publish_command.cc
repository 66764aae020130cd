// publish: one event from flags or JSON.
#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "common/status/status_macros.h"
#include "serving_layer/cli/commands.h"
#include "serving_layer/cli/format.h"
#include "serving_layer/cli/json_lines.h"

namespace tributary::serving {
namespace {

constexpr int kMaxWaitSeconds = 10;

absl::Status Refused(absl::string_view field, absl::string_view reason, absl::string_view value) {
  return absl::InvalidArgumentError(
      absl::StrCat("event refused: field=", field, " reason=\"", reason, "\" value=", value));
}

struct Flags {
  v1::Event event;
  std::string type;
  std::string time;
  std::string json;
  std::vector<std::string> attributes;
  bool wait = false;
};

absl::StatusOr<v1::Event> EventOf(const Flags& flags) {
  v1::Event event = flags.event;
  if (!flags.json.empty()) {
    if (flags.event.ByteSizeLong() > 0 || !flags.type.empty() || !flags.time.empty() || !flags.attributes.empty()) {
      return absl::InvalidArgumentError("event refused: field=event-json reason=\"no other field besides\"");
    }
    TRIBUTARY_RETURN_IF_ERROR(ParseJson(flags.json, &event));
    return event;
  }
  v1::EventType type = v1::EVENT_TYPE_UNSPECIFIED;
  std::string name = absl::AsciiStrToUpper(flags.type);
  std::replace(name.begin(), name.end(), '-', '_');
  if (!v1::EventType_Parse(name, &type)) {
    return Refused("type", "no such type", flags.type);
  }
  event.set_type(type);
  if (!flags.time.empty()) {
    absl::Time time;
    std::string error;
    if (!absl::ParseTime(absl::RFC3339_full, flags.time, &time, &error)) {
      return Refused("time", "wants RFC 3339, such as 2026-01-31T12:00:00Z", flags.time);
    }
    const int64_t unix_ms = absl::ToUnixMillis(time);
    event.mutable_event_time()->set_seconds(unix_ms / 1000);
    event.mutable_event_time()->set_nanos(static_cast<int32_t>(unix_ms % 1000) * 1'000'000);
  }
  for (const std::string& attribute : flags.attributes) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(attribute, absl::MaxSplits('=', 1));
    if (parts.first.empty() || !absl::StrContains(attribute, '=')) {
      return Refused("attribute", "wants KEY=VALUE", attribute);
    }
    (*event.mutable_attributes())[parts.first] = parts.second;
  }
  return event;
}

// Asks until an answer rests on the event; the time since `begin` in ms. Unset: not in time.
absl::StatusOr<std::optional<double>> WaitVisible(ServingClient& client, const v1::Event& event,
                                                  const v1::PublishResponse& published, absl::Time begin,
                                                  const Clock& clock) {
  v1::RecommendRequest request;
  request.set_user_id(event.user_id());
  request.set_limit(1);
  request.set_without_reasons(true);
  *request.mutable_min_freshness() = published.token();
  request.mutable_max_wait()->set_seconds(kMaxWaitSeconds);
  TRIBUTARY_ASSIGN_OR_RETURN(const v1::RecommendResponse response, client.Recommend(request));
  for (const int degradation : response.freshness().degraded()) {
    if (degradation == v1::FRESHNESS_NOT_REACHED) {
      return std::optional<double>();
    }
  }
  return std::optional<double>(absl::ToDoubleMilliseconds(clock.Now() - begin));
}

absl::Status Publish(const Flags& flags, Session& session) {
  const Environment& environment = session.environment;
  TRIBUTARY_ASSIGN_OR_RETURN(const v1::Event event, EventOf(flags));
  TRIBUTARY_ASSIGN_OR_RETURN(const auto client, session.Connect());
  v1::PublishRequest request;
  *request.mutable_event() = event;
  const absl::Time begin = environment.clock.Now();
  TRIBUTARY_ASSIGN_OR_RETURN(const v1::PublishResponse response, client->Publish(request));
  const std::string position = absl::StrCat(response.position().partition(), ":", response.position().offset());
  std::optional<double> visible_ms;
  if (flags.wait) {
    TRIBUTARY_ASSIGN_OR_RETURN(visible_ms, WaitVisible(*client, event, response, begin, environment.clock));
    session.not_visible = !visible_ms.has_value();
  }
  if (session.json) {
    std::string line(absl::StripAsciiWhitespace(FormatJson(response)));
    if (visible_ms) {
      line.insert(line.size() - 1, absl::StrFormat(",\"visibleMs\":%.3f", *visible_ms));
    }
    environment.out << line << "\n";
    return absl::OkStatus();
  }
  environment.out << "published at " << position << "\n";
  if (visible_ms) {
    environment.out << absl::StrFormat("visible after %.1f ms\n", *visible_ms);
  } else if (flags.wait) {
    environment.err << "tributary: not visible within " << kMaxWaitSeconds << " s: position=" << position << "\n";
  }
  return absl::OkStatus();
}

}  // namespace

void AddPublishCommand(CLI::App& app, Session& session) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("publish", "send one event; prints where it lies");
  const auto text = [&](const std::string& name, auto set, const std::string& help) {
    command->add_option_function<std::string>(
        name, [flags, set](const std::string& value) { set(flags->event, value); }, help);
  };
  text("--user", [](v1::Event& e, const std::string& v) { e.set_user_id(v); }, "user id");
  command->add_option("--type", flags->type,
                      "VIEW, CLICK, ADD_TO_CART, PURCHASE, RETURN, LIKE, DISLIKE, RATING, SEARCH, ...");
  text("--item", [](v1::Event& e, const std::string& v) { e.set_item_id(v); }, "item id");
  text("--page", [](v1::Event& e, const std::string& v) { e.set_page(v); }, "page or screen");
  text("--category", [](v1::Event& e, const std::string& v) { e.set_category(v); },
       "category of an event without an item");
  text("--query", [](v1::Event& e, const std::string& v) { e.set_query(v); }, "search text");
  text("--event-id", [](v1::Event& e, const std::string& v) { e.set_event_id(v); }, "makes repeats harmless");
  text("--session", [](v1::Event& e, const std::string& v) { e.set_session_id(v); }, "session id");
  text("--bucket", [](v1::Event& e, const std::string& v) { e.set_experiment_bucket(v); }, "experiment bucket");
  command->add_option_function<double>("--value", [flags](double v) { flags->event.set_value(v); }, "amount, or the rating");
  command->add_option_function<double>("--quantity", [flags](double v) { flags->event.set_quantity(v); }, "units");
  command->add_flag_callback("--anonymous", [flags] { flags->event.set_anonymous(true); }, "no known person");
  command->add_option("--attribute", flags->attributes, "KEY=VALUE; may be repeated")->allow_extra_args(false);
  command->add_option("--time", flags->time, "event time in RFC 3339; default: the time of arrival");
  command->add_option("--event-json", flags->json, "the whole event as proto3 JSON instead");
  command->add_flag("--wait", flags->wait, "wait until answers rest on it, and say how long that took");
  command->callback([flags, &session] { session.status = Publish(*flags, session); });
}

}  // namespace tributary::serving
