// recommend, similar, popular, health.
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/status/status_macros.h"
#include "serving_layer/cli/commands.h"
#include "serving_layer/cli/filter_flags.h"
#include "serving_layer/cli/format.h"
#include "serving_layer/cli/print_answer.h"

namespace tributary::serving {
namespace {

constexpr double kMaxWaitSeconds = 10;

// P:O, as `publish` prints it.
absl::Status ParseToken(absl::string_view text, v1::FreshnessToken* token) {
  const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(text, absl::MaxSplits(':', 1));
  int32_t partition = 0;
  int64_t offset = 0;
  if (!absl::SimpleAtoi(parts.first, &partition) || !absl::SimpleAtoi(parts.second, &offset) || partition < 0 ||
      offset < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("token refused: field=after-token reason=\"wants PARTITION:OFFSET\" value=", text));
  }
  token->mutable_position()->set_partition(partition);
  token->mutable_position()->set_offset(offset);
  return absl::OkStatus();
}

void AddRecommend(CLI::App& app, Session& session) {
  struct Flags {
    v1::RecommendRequest request;
    FilterFlags filter;
    std::vector<std::string> basket, recent;
    std::string after_token;
    double max_wait = 1;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("recommend", "what to show a user next, with reasons and freshness");
  const auto text = [&](const std::string& name, auto set, const std::string& help) {
    return command->add_option_function<std::string>(
        name, [flags, set](const std::string& value) { set(flags->request, value); }, help);
  };
  using Request = v1::RecommendRequest;
  text("user", [](Request& r, const std::string& v) { r.set_user_id(v); }, "user id; unset: a visitor with --recent");
  text("--page-token", [](Request& r, const std::string& v) { r.set_page_token(v); }, "token of the page before");
  text("--bucket", [](Request& r, const std::string& v) { r.set_experiment_bucket(v); },
       "EXPERIMENT/BUCKET to see what its users see; default: the user's own");
  command->add_option_function<int64_t>("--generation", [flags](int64_t v) { flags->request.set_as_of_generation(v); },
                                        "a snapshot that the server holds; default: the one that the user is served from");
  text("--current-item", [](Request& r, const std::string& v) { r.mutable_context()->set_current_item(v); },
       "the item that is being looked at");
  command->add_option_function<int32_t>("--limit", [flags](int32_t v) { flags->request.set_limit(v); },
                                        "1 to 100; default 20");
  command->add_option_function<int32_t>("--max-per-category",
                                        [flags](int32_t v) { flags->request.set_max_per_category(v); },
                                        "at most so many of one main category");
  command->add_flag_callback("--exclude-seen", [flags] { flags->request.set_exclude_seen(true); },
                             "leave out what the user viewed, bought, liked or rated");
  command->add_option("--basket", flags->basket, "items in the basket")->delimiter(',');
  command->add_option("--recent", flags->recent, "an anonymous visitor's items, oldest first")->delimiter(',');
  command->add_option("--after-token", flags->after_token, "PARTITION:OFFSET that the answer must rest on");
  command->add_option("--max-wait", flags->max_wait, "seconds to wait for --after-token; default 1")
      ->check(CLI::Range(0.0, kMaxWaitSeconds));
  flags->filter.AddTo(command);
  command->callback([flags, &session] {
    session.status = [&]() -> absl::Status {
      v1::RecommendRequest& request = flags->request;
      flags->filter.ToProto(request.mutable_filter());
      for (const std::string& item : flags->basket) {
        request.mutable_context()->add_basket(item);
      }
      request.mutable_recent_items()->Assign(flags->recent.begin(), flags->recent.end());
      if (!flags->after_token.empty()) {
        TRIBUTARY_RETURN_IF_ERROR(ParseToken(flags->after_token, request.mutable_min_freshness()));
        const auto nanos = static_cast<int64_t>(flags->max_wait * 1e9);
        request.mutable_max_wait()->set_seconds(nanos / 1'000'000'000);
        request.mutable_max_wait()->set_nanos(static_cast<int32_t>(nanos % 1'000'000'000));
      }
      TRIBUTARY_ASSIGN_OR_RETURN(const auto client, session.Connect());
      TRIBUTARY_ASSIGN_OR_RETURN(const v1::RecommendResponse response, client->Recommend(request));
      PrintAnswer(response, *client, session);
      if (!session.json && !response.experiment_bucket().empty()) {
        session.environment.out << "bucket: " << response.experiment_bucket() << "\n";
      }
      for (int i = 0; !session.json && i < response.absent_size(); ++i) {
        session.environment.out << "kept out: " << response.absent(i).items() << " "
                                << v1::WhyNotResponse::Cause_Name(response.absent(i).cause()) << "\n";
      }
      if (!session.json && !response.next_page_token().empty()) {
        session.environment.out << "next page: --page-token " << response.next_page_token() << "\n";
      }
      for (const int degradation : response.freshness().degraded()) {
        session.not_visible = session.not_visible || degradation == v1::FRESHNESS_NOT_REACHED;
      }
      return absl::OkStatus();
    }();
  });
}

void AddSimilar(CLI::App& app, Session& session) {
  struct Flags {
    std::vector<std::string> items;
    std::string user;
    int32_t limit = 0;
    FilterFlags filter;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("similar", "items like the given ones");
  command->add_option("item", flags->items, "1 to 100 item ids")->required();
  command->add_option("--user", flags->user, "leave out what this user's suppressions leave out");
  command->add_option("--limit", flags->limit, "1 to 100; default 20");
  flags->filter.AddTo(command);
  command->callback([flags, &session] {
    session.status = [&]() -> absl::Status {
      v1::SimilarItemsRequest request;
      request.mutable_item_ids()->Assign(flags->items.begin(), flags->items.end());
      request.set_user_id(flags->user);
      request.set_limit(flags->limit);
      flags->filter.ToProto(request.mutable_filter());
      TRIBUTARY_ASSIGN_OR_RETURN(const auto client, session.Connect());
      TRIBUTARY_ASSIGN_OR_RETURN(const v1::SimilarItemsResponse response, client->SimilarItems(request));
      PrintAnswer(response, *client, session);
      return absl::OkStatus();
    }();
  });
}

void AddPopular(CLI::App& app, Session& session) {
  struct Flags {
    std::string category;
    std::string segment;
    int32_t limit = 0;
    FilterFlags filter;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("popular", "what is popular, overall, in a category or among a segment");
  CLI::Option* const category = command->add_option("--category", flags->category, "default: overall");
  command->add_option("--segment", flags->segment, "among the users of one segment")->excludes(category);
  command->add_option("--limit", flags->limit, "1 to 100; default 20");
  flags->filter.AddTo(command);
  command->callback([flags, &session] {
    session.status = [&]() -> absl::Status {
      v1::PopularRequest request;
      request.set_category(flags->category);
      request.set_segment(flags->segment);
      request.set_limit(flags->limit);
      flags->filter.ToProto(request.mutable_filter());
      TRIBUTARY_ASSIGN_OR_RETURN(const auto client, session.Connect());
      TRIBUTARY_ASSIGN_OR_RETURN(const v1::PopularResponse response, client->Popular(request));
      PrintAnswer(response, *client, session);
      return absl::OkStatus();
    }();
  });
}

void AddHealth(CLI::App& app, Session& session) {
  auto wait_seconds = std::make_shared<double>(0);
  CLI::App* command = app.add_subcommand("health", "whether the server serves; exit code 4 if it does not");
  command->add_option("--wait", *wait_seconds, "seconds to wait until it does; default: ask once")->check(CLI::Range(0.0, 3600.0));
  command->callback([wait_seconds, &session] {
    session.status = [&]() -> absl::Status {
      TRIBUTARY_ASSIGN_OR_RETURN(const auto client, session.Connect());
      TRIBUTARY_RETURN_IF_ERROR(client->AwaitServing(absl::Seconds(*wait_seconds)));
      session.environment.out << (session.json ? "{\"status\":\"SERVING\"}\n" : "serving\n");
      return absl::OkStatus();
    }();
  });
}

}  // namespace

void AddQueryCommands(CLI::App& app, Session& session) {
  AddRecommend(app, session);
  AddSimilar(app, session);
  AddPopular(app, session);
  AddHealth(app, session);
}

}  // namespace tributary::serving
