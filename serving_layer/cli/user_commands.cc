// score, recent, profile, because, why-not, trending, latest, watch, forget, drain.
#include "absl/strings/str_cat.h"
#include "common/status/status_macros.h"
#include "serving_layer/cli/commands.h"
#include "serving_layer/cli/filter_flags.h"
#include "serving_layer/cli/format.h"
#include "serving_layer/cli/print_answer.h"

namespace tributary::serving {
namespace {

// A command that asks the server once: `run` fills a request from `flags`, asks and prints.
template <typename Flags, typename Run>
void OnRun(CLI::App* command, std::shared_ptr<Flags> flags, Session& session, Run run) {
  command->callback([flags, run, &session] {
    session.status = [&]() -> absl::Status {
      TRIBUTARY_ASSIGN_OR_RETURN(const auto client, session.Connect());
      return run(*flags, *client);
    }();
  });
}

std::string Freshness(const v1::Freshness& freshness, const Session& session) {
  return FormatFreshness(freshness, session.environment.clock.Now());
}

void AddTrending(CLI::App& app, Session& session) {
  struct Flags {
    v1::TrendingRequest request;
    double minutes = 0;
    FilterFlags filter;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("trending", "what was acted on most lately, overall, in a category or among a segment");
  CLI::Option* const category = command->add_option_function<std::string>(
      "--category", [flags](const std::string& v) { flags->request.set_category(v); }, "default: overall");
  command
      ->add_option_function<std::string>(
          "--segment", [flags](const std::string& v) { flags->request.set_segment(v); }, "among the users of one segment")
      ->excludes(category);
  command->add_option("--minutes", flags->minutes, "how far back, 1 to 1,440; default 60")
      ->check(CLI::Range(1.0, 1440.0));
  command->add_option_function<int32_t>(
      "--limit", [flags](int32_t v) { flags->request.set_limit(v); }, "1 to 100; default 20");
  flags->filter.AddTo(command);
  OnRun(command, flags, session, [&session](Flags& f, ServingClient& client) -> absl::Status {
    if (f.minutes > 0) {
      f.request.mutable_window()->set_seconds(static_cast<int64_t>(f.minutes * 60));
    }
    f.filter.ToProto(f.request.mutable_filter());
    TRIBUTARY_ASSIGN_OR_RETURN(const v1::TrendingResponse response, client.Trending(f.request));
    PrintAnswer(response, client, session);
    return absl::OkStatus();
  });
}

void AddLatest(CLI::App& app, Session& session) {
  struct Flags {
    v1::LatestRequest request;
    FilterFlags filter;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("latest", "what is new in the catalogue, overall or in a category");
  command->add_option_function<std::string>(
      "--category", [flags](const std::string& v) { flags->request.set_category(v); }, "default: overall");
  command->add_option_function<int32_t>(
      "--limit", [flags](int32_t v) { flags->request.set_limit(v); }, "1 to 100; default 20");
  flags->filter.AddTo(command);
  OnRun(command, flags, session, [&session](Flags& f, ServingClient& client) -> absl::Status {
    f.filter.ToProto(f.request.mutable_filter());
    TRIBUTARY_ASSIGN_OR_RETURN(const v1::LatestResponse response, client.Latest(f.request));
    PrintAnswer(response, client, session);
    return absl::OkStatus();
  });
}

void AddScore(CLI::App& app, Session& session) {
  struct Flags {
    std::string user;
    std::vector<std::string> items;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("score", "rank given items for a user");
  command->add_option("user", flags->user, "user id")->required();
  command->add_option("item", flags->items, "1 to 1,000 item ids")->required();
  OnRun(command, flags, session, [&session](const Flags& f, ServingClient& client) -> absl::Status {
    v1::ScoreRequest request;
    request.set_user_id(f.user);
    request.mutable_item_ids()->Assign(f.items.begin(), f.items.end());
    TRIBUTARY_ASSIGN_OR_RETURN(const v1::ScoreResponse response, client.Score(request));
    PrintAnswer(response, client, session);
    return absl::OkStatus();
  });
}

void AddRecent(CLI::App& app, Session& session) {
  auto flags = std::make_shared<v1::RecentlyViewedRequest>();
  CLI::App* command = app.add_subcommand("recent", "what a user viewed lately");
  command
      ->add_option_function<std::string>(
          "user", [flags](const std::string& v) { flags->set_user_id(v); }, "user id")
      ->required();
  command->add_option_function<int32_t>(
      "--limit", [flags](int32_t v) { flags->set_limit(v); }, "1 to 100; default 20");
  OnRun(command, flags, session,
        [&session](const v1::RecentlyViewedRequest& request, ServingClient& client) -> absl::Status {
          TRIBUTARY_ASSIGN_OR_RETURN(const v1::RecentlyViewedResponse response, client.RecentlyViewed(request));
          session.Print(response, session.json
                                      ? ""
                                      : absl::StrCat(FormatRecentlyViewed(response, TitlesOf(response.items(), client)),
                                                     Freshness(response.freshness(), session)));
          return absl::OkStatus();
        });
}

void AddProfile(CLI::App& app, Session& session) {
  auto flags = std::make_shared<v1::GetProfileRequest>();
  CLI::App* command =
      app.add_subcommand("profile", "what is known of a user: the latest event of each kind on each item");
  command
      ->add_option_function<std::string>(
          "user", [flags](const std::string& v) { flags->set_user_id(v); }, "user id")
      ->required();
  OnRun(command, flags, session,
        [&session](const v1::GetProfileRequest& request, ServingClient& client) -> absl::Status {
          TRIBUTARY_ASSIGN_OR_RETURN(const v1::GetProfileResponse response, client.GetProfile(request));
          session.Print(response, absl::StrCat(FormatProfile(response), Freshness(response.freshness(), session)));
          return absl::OkStatus();
        });
}

struct ExplainFlags {
  std::string user;
  std::string item;
  v1::RecommendRequest request;
  FilterFlags filter;

  void AddTo(CLI::App* command) {
    command->add_option("user", user, "user id")->required();
    command->add_option("item", item, "item id")->required();
    command->add_option_function<int32_t>(
        "--limit", [this](int32_t v) { request.set_limit(v); }, "of the list that is explained; default 20");
    command->add_option_function<int32_t>(
        "--max-per-category", [this](int32_t v) { request.set_max_per_category(v); }, "as of recommend");
    command->add_flag_callback(
        "--exclude-seen", [this] { request.set_exclude_seen(true); }, "as of recommend");
    filter.AddTo(command);
  }
  template <typename Request>
  Request ToProto() {
    Request explain;
    explain.set_user_id(user);
    explain.set_item_id(item);
    filter.ToProto(request.mutable_filter());
    *explain.mutable_request() = request;
    return explain;
  }
};

void AddBecause(CLI::App& app, Session& session) {
  auto flags = std::make_shared<ExplainFlags>();
  CLI::App* command = app.add_subcommand("because", "why an item is recommended to a user");
  flags->AddTo(command);
  OnRun(command, flags, session, [&session](ExplainFlags& f, ServingClient& client) -> absl::Status {
    TRIBUTARY_ASSIGN_OR_RETURN(const v1::BecauseResponse response, client.Because(f.ToProto<v1::BecauseRequest>()));
    v1::WhyNotResponse shown;
    shown.set_cause(v1::WhyNotResponse::SHOWN);
    shown.set_detail(absl::StrCat("at place ", response.rank()));
    *shown.mutable_item() = response.item();
    session.Print(response, absl::StrCat(FormatWhyNot(shown), Freshness(response.freshness(), session)));
    return absl::OkStatus();
  });
}

void AddWhyNot(CLI::App& app, Session& session) {
  auto flags = std::make_shared<ExplainFlags>();
  CLI::App* command = app.add_subcommand("why-not", "what keeps an item from being recommended to a user");
  flags->AddTo(command);
  OnRun(command, flags, session, [&session](ExplainFlags& f, ServingClient& client) -> absl::Status {
    TRIBUTARY_ASSIGN_OR_RETURN(const v1::WhyNotResponse response, client.WhyNot(f.ToProto<v1::WhyNotRequest>()));
    session.Print(response, absl::StrCat(FormatWhyNot(response), Freshness(response.freshness(), session)));
    return absl::OkStatus();
  });
}

void AddWatch(CLI::App& app, Session& session) {
  struct Flags {
    v1::WatchRequest request;
    int lists = 0;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("watch", "a user's list, and again whenever it changes, until interrupted");
  command
      ->add_option_function<std::string>(
          "user", [flags](const std::string& v) { flags->request.mutable_request()->set_user_id(v); }, "user id")
      ->required();
  command->add_option_function<int32_t>(
      "--limit", [flags](int32_t v) { flags->request.mutable_request()->set_limit(v); }, "1 to 100; default 20");
  command->add_option("--lists", flags->lists, "end after so many lists; default: never")
      ->check(CLI::Range(0, 1'000'000));
  OnRun(command, flags, session, [&session](const Flags& f, ServingClient& client) -> absl::Status {
    int lists = 0;
    return client.Watch(f.request, [&](const v1::RecommendResponse& list) {
      PrintAnswer(list, client, session);
      session.environment.out.flush();
      return ++lists != f.lists;
    });
  });
}

void AddForget(CLI::App& app, Session& session) {
  struct Flags {
    std::string user;
    std::string report;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("forget", "forget a user, or tell what still holds one who was forgotten");
  CLI::Option* const user = command->add_option("user", flags->user, "user id: forgets, and prints the report's id");
  command->add_option("--report", flags->report, "id that `forget USER` printed")->excludes(user);
  OnRun(command, flags, session, [&session](const Flags& f, ServingClient& client) -> absl::Status {
    if (!f.report.empty()) {
      v1::GetForgetReportRequest request;
      request.set_report_id(f.report);
      TRIBUTARY_ASSIGN_OR_RETURN(const v1::GetForgetReportResponse response, client.GetForgetReport(request));
      session.Print(response, FormatForgetReport(response));
      return absl::OkStatus();
    }
    v1::ForgetUserRequest request;
    request.set_user_id(f.user);
    TRIBUTARY_ASSIGN_OR_RETURN(const v1::ForgetUserResponse response, client.ForgetUser(request));
    session.Print(response,
                  absl::StrCat("forgotten by the event at ", FormatPosition(response.token().position()),
                               "\nwhat still holds the user: tributary forget --report ", response.report_id(), "\n"));
    return absl::OkStatus();
  });
}

void AddDrain(CLI::App& app, Session& session) {
  auto flags = std::make_shared<v1::DrainRequest>();
  CLI::App* command = app.add_subcommand("drain", "health says NOT_SERVING from now on; requests are answered on");
  command->add_flag_callback(
      "--resume", [flags] { flags->set_resume(true); }, "take it back");
  OnRun(command, flags, session, [&session](const v1::DrainRequest& request, ServingClient& client) -> absl::Status {
    TRIBUTARY_ASSIGN_OR_RETURN(const v1::DrainResponse response, client.Drain(request));
    session.Print(response, absl::StrCat(request.resume() ? "resumed" : "draining", ": requests under way ",
                                         response.requests_under_way(), "\n"));
    return absl::OkStatus();
  });
}

}  // namespace

void AddUserCommands(CLI::App& app, Session& session) {
  AddTrending(app, session);
  AddLatest(app, session);
  AddScore(app, session);
  AddRecent(app, session);
  AddProfile(app, session);
  AddBecause(app, session);
  AddWhyNot(app, session);
  AddWatch(app, session);
  AddForget(app, session);
  AddDrain(app, session);
}

}  // namespace tributary::serving
