// totals, windows, experiments.
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/status/status_macros.h"
#include "serving_layer/cli/commands.h"
#include "serving_layer/cli/format.h"

namespace tributary::serving {
namespace {

constexpr char kMeasures[] = "OVERALL, BY_ITEM, BY_PAGE, BY_CATEGORY, BY_STORE or BY_BUCKET";

absl::StatusOr<v1::Measure> ParseMeasure(absl::string_view command, const std::string& text) {
  v1::Measure measure = v1::MEASURE_UNSPECIFIED;
  if (!v1::Measure_Parse(absl::AsciiStrToUpper(text), &measure) || measure == v1::MEASURE_UNSPECIFIED) {
    return absl::InvalidArgumentError(
        absl::StrCat(command, " refused: field=measure reason=\"", kMeasures, "\" value=", text));
  }
  return measure;
}

// What `ask` answers, and what it rests on.
template <typename Ask, typename Format>
absl::Status Print(Session& session, Ask ask, Format format) {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto client, session.Connect());
  TRIBUTARY_ASSIGN_OR_RETURN(const auto response, ask(*client));
  session.Print(response, absl::StrCat(format(response),
                                       FormatFreshness(response.freshness(), session.environment.clock.Now())));
  return absl::OkStatus();
}

void AddTotals(CLI::App& app, Session& session) {
  struct Flags {
    std::string measure;
    std::vector<std::string> keys;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("totals", "exact counts across batch and speed layer");
  command->add_option("measure", flags->measure, kMeasures)->required();
  command->add_option("key", flags->keys, "at most 1,000 keys; none with OVERALL");
  command->callback([flags, &session] {
    session.status = [&]() -> absl::Status {
      v1::TotalsRequest request;
      TRIBUTARY_ASSIGN_OR_RETURN(const v1::Measure measure, ParseMeasure("totals", flags->measure));
      request.set_measure(measure);
      request.mutable_keys()->Assign(flags->keys.begin(), flags->keys.end());
      return Print(session, [&](ServingClient& client) { return client.Totals(request); }, FormatTotals);
    }();
  });
}

void AddWindows(CLI::App& app, Session& session) {
  struct Flags {
    std::string measure, key, type;
    double hours = 24;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("windows", "live counts by quarter-hours of event time");
  command->add_option("measure", flags->measure, kMeasures)->required();
  command->add_option("type", flags->type, "event type, such as VIEW")->required();
  command->add_option("key", flags->key, "none with OVERALL");
  command->add_option("--hours", flags->hours, "how far back from now; default 24")->check(CLI::Range(0.25, 168.0));
  command->callback([flags, &session] {
    session.status = [&]() -> absl::Status {
      v1::WindowsRequest request;
      TRIBUTARY_ASSIGN_OR_RETURN(const v1::Measure measure, ParseMeasure("windows", flags->measure));
      request.set_measure(measure);
      request.set_key(flags->key);
      v1::EventType type = v1::EVENT_TYPE_UNSPECIFIED;
      if (!v1::EventType_Parse(absl::AsciiStrToUpper(flags->type), &type) || type == v1::EVENT_TYPE_UNSPECIFIED) {
        return absl::InvalidArgumentError(
            absl::StrCat("windows refused: field=type reason=\"no event type\" value=", flags->type));
      }
      request.set_type(type);
      const int64_t now = absl::ToUnixSeconds(session.environment.clock.Now());
      request.mutable_start()->set_seconds(now - static_cast<int64_t>(flags->hours * 3600) + 1);
      request.mutable_end()->set_seconds(now + 1);
      return Print(session, [&](ServingClient& client) { return client.Windows(request); }, FormatWindows);
    }();
  });
}

void AddExperiments(CLI::App& app, Session& session) {
  struct Flags {
    std::string experiment;
    std::vector<std::string> buckets;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("experiments", "what came of the answers of each bucket");
  CLI::Option* const experiment = command->add_option("experiment", flags->experiment, "default: all that are configured");
  command->add_option("--bucket", flags->buckets, "EXPERIMENT/BUCKET of one that is no longer configured")
      ->delimiter(',')
      ->excludes(experiment);
  command->callback([flags, &session] {
    session.status = [&]() -> absl::Status {
      v1::ExperimentRatesRequest request;
      request.set_experiment(flags->experiment);
      request.mutable_buckets()->Assign(flags->buckets.begin(), flags->buckets.end());
      return Print(session, [&](ServingClient& client) { return client.ExperimentRates(request); },
                   FormatExperimentRates);
    }();
  });
}

}  // namespace

void AddAnalyticsCommands(CLI::App& app, Session& session) {
  AddTotals(app, session);
  AddWindows(app, session);
  AddExperiments(app, session);
}

}  // namespace tributary::serving
