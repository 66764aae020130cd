// items, rules.
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/status/status_macros.h"
#include "serving_layer/cli/commands.h"
#include "serving_layer/cli/format.h"
#include "serving_layer/cli/json_lines.h"

namespace tributary::serving {
namespace {

absl::Status PutItems(const std::string& path, Session& session) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<v1::Item> items, ReadJsonLines<v1::Item>(path));
  TRIBUTARY_ASSIGN_OR_RETURN(const auto client, session.Connect());
  size_t put = 0;
  for (const v1::Item& item : items) {
    v1::PutItemRequest request;
    *request.mutable_item() = item;
    if (const auto response = client->PutItem(request); !response.ok()) {
      return absl::Status(response.status().code(), absl::StrCat(response.status().message(), ": item_id=", item.item_id(),
                                                                 " put_before=", put));
    }
    ++put;
  }
  if (session.json) {
    session.environment.out << "{\"items\":" << put << "}\n";
  } else {
    session.environment.out << put << " items put\n";
  }
  return absl::OkStatus();
}

struct RuleFlags {
  v1::Rule rule;
  std::string action;
  std::string start;
  std::string end;
  std::string json;
};

absl::Status SetTime(absl::string_view field, const std::string& text, google::protobuf::Timestamp* timestamp) {
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, text, &time, &error)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "rule refused: field=", field, " reason=\"wants RFC 3339, such as 2026-01-31T12:00:00Z\" value=", text));
  }
  timestamp->set_seconds(absl::ToUnixSeconds(time));
  return absl::OkStatus();
}

absl::Status PutRule(const RuleFlags& flags, Session& session) {
  v1::PutRuleRequest request;
  v1::Rule& rule = *request.mutable_rule();
  if (!flags.json.empty()) {
    TRIBUTARY_RETURN_IF_ERROR(ParseJson(flags.json, &rule));
  } else {
    rule = flags.rule;
    v1::RuleAction action = v1::RULE_ACTION_UNSPECIFIED;
    if (!v1::RuleAction_Parse(absl::AsciiStrToUpper(flags.action), &action)) {
      return absl::InvalidArgumentError(
          absl::StrCat("rule refused: field=action reason=\"BOOST, BURY, PIN or HIDE\" value=", flags.action));
    }
    rule.set_action(action);
    if (!flags.start.empty()) {
      TRIBUTARY_RETURN_IF_ERROR(SetTime("start", flags.start, rule.mutable_start()));
    }
    if (!flags.end.empty()) {
      TRIBUTARY_RETURN_IF_ERROR(SetTime("end", flags.end, rule.mutable_end()));
    }
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const auto client, session.Connect());
  TRIBUTARY_ASSIGN_OR_RETURN(const v1::PutRuleResponse response, client->PutRule(request));
  session.Print(response, absl::StrCat("rule ", rule.rule_id(), " put\n"));
  return absl::OkStatus();
}

void AddPutRule(CLI::App& rules, Session& session) {
  auto flags = std::make_shared<RuleFlags>();
  CLI::App* command = rules.add_subcommand("put", "add or replace a rule");
  const auto text = [&](const std::string& name, auto set, const std::string& help) {
    return command->add_option_function<std::string>(
        name, [flags, set](const std::string& value) { set(flags->rule, value); }, help);
  };
  text("rule", [](v1::Rule& r, const std::string& v) { r.set_rule_id(v); }, "rule id");
  command->add_option("--action", flags->action, "BOOST, BURY, PIN or HIDE");
  CLI::Option* item = text("--item", [](v1::Rule& r, const std::string& v) { r.set_item_id(v); }, "target: one item");
  CLI::Option* category =
      text("--category", [](v1::Rule& r, const std::string& v) { r.set_category(v); }, "target: a category");
  CLI::Option* label = text("--label", [](v1::Rule& r, const std::string& v) { r.set_label(v); }, "target: a label");
  item->excludes(category)->excludes(label);
  category->excludes(label);
  command->add_option_function<double>("--strength", [flags](double v) { flags->rule.set_strength(v); },
                                       "0 to 1,000: BOOST multiplies by 1 + strength, BURY divides by it");
  text("--segment", [](v1::Rule& r, const std::string& v) { r.set_segment(v); }, "only for users of this segment");
  command->add_option("--start", flags->start, "in force from, RFC 3339");
  command->add_option("--end", flags->end, "in force until (exclusive), RFC 3339");
  text("--comment", [](v1::Rule& r, const std::string& v) { r.set_comment(v); }, "why, for people");
  command->add_option("--rule-json", flags->json, "the whole rule as proto3 JSON instead");
  command->callback([flags, &session] { session.status = PutRule(*flags, session); });
}

}  // namespace

void AddCatalogueCommands(CLI::App& app, Session& session) {
  CLI::App* items = app.add_subcommand("items", "the catalogue")->require_subcommand(1);
  auto path = std::make_shared<std::string>();
  CLI::App* put = items->add_subcommand("put", "add or replace items");
  put->add_option("--file", *path, "one item a line as proto3 JSON; - is standard input")->required();
  put->callback([path, &session] { session.status = PutItems(*path, session); });

  CLI::App* rules = app.add_subcommand("rules", "operators' rules: boost, bury, pin, hide")->require_subcommand(1);
  AddPutRule(*rules, session);
  rules->add_subcommand("list", "all rules")->callback([&session] {
    session.status = [&]() -> absl::Status {
      TRIBUTARY_ASSIGN_OR_RETURN(const auto client, session.Connect());
      TRIBUTARY_ASSIGN_OR_RETURN(const v1::ListRulesResponse response, client->ListRules(v1::ListRulesRequest()));
      session.Print(response, FormatRules(response));
      return absl::OkStatus();
    }();
  });
  auto rule_id = std::make_shared<std::string>();
  CLI::App* remove = rules->add_subcommand("delete", "take a rule away");
  remove->add_option("rule", *rule_id, "rule id")->required();
  remove->callback([rule_id, &session] {
    session.status = [&]() -> absl::Status {
      v1::DeleteRuleRequest request;
      request.set_rule_id(*rule_id);
      TRIBUTARY_ASSIGN_OR_RETURN(const auto client, session.Connect());
      TRIBUTARY_ASSIGN_OR_RETURN(const v1::DeleteRuleResponse response, client->DeleteRule(request));
      session.Print(response, absl::StrCat("rule ", *rule_id, " deleted\n"));
      return absl::OkStatus();
    }();
  });
}

}  // namespace tributary::serving
