#include "serving_layer/cli/format.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/event/utf8.h"
#include "glog/logging.h"
#include "google/protobuf/util/json_util.h"

namespace tributary::serving {
namespace {

constexpr size_t kTitleCharacters = 40;

absl::Time ToTime(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

absl::Duration ToDuration(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

std::string FormatDate(absl::Time time) { return absl::FormatTime("%Y-%m-%d %H:%M:%S", time, absl::UTCTimeZone()); }

std::string FormatMicros(int64_t micros) { return absl::StrFormat("%.2f", static_cast<double>(micros) / 1e6); }

std::string FormatReasons(const google::protobuf::RepeatedPtrField<v1::Reason>& reasons) {
  return absl::StrJoin(reasons, ", ", [](std::string* out, const v1::Reason& reason) {
    absl::StrAppend(out, FormatReason(reason));
  });
}

// VIEW 2m ago at 1:1042.
std::string FormatEvent(const v1::EventReference& event) {
  return absl::StrCat(v1::EventType_Name(event.type()), " ", FormatAge(ToDuration(event.age())), " ago at ",
                      FormatPosition(event.position()));
}

// `boost`: a v1::CategoryBoost or v1::LabelBoost.
template <typename Boost>
std::string FormatBoost(float part, absl::string_view what, absl::string_view name, const Boost& boost) {
  const v1::EventReference& cause = boost.cause();
  const int others = boost.causes() - 1;
  return absl::StrFormat("x%.2f %s %s (%s %s ago at %s%s)", part, what, name, v1::EventType_Name(cause.type()),
                         FormatAge(ToDuration(cause.age())), FormatPosition(cause.position()),
                         others > 0 ? absl::StrCat(" and ", others, " more") : "");
}

bool ContinuesCharacter(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

// Of a text in UTF-8.
size_t Characters(absl::string_view text) {
  return text.size() - static_cast<size_t>(std::count_if(text.begin(), text.end(), ContinuesCharacter));
}

// `passed`, `refused: events list_churn`, `refused: damaged`.
std::string FormatVerdict(const v1::GateVerdict& verdict) {
  std::string text = absl::AsciiStrToLower(v1::GateVerdict::Outcome_Name(verdict.outcome()));
  absl::string_view separator = ": ";
  const auto add = [&](absl::string_view why) {
    absl::StrAppend(&text, separator, why);
    separator = " ";
  };
  if (!verdict.damage().empty()) {
    add("damaged");
  }
  for (const v1::GateCheck& check : verdict.checks()) {
    if (!check.passed()) {
      add(check.name());
    }
  }
  return text;
}

std::string RuleTarget(const v1::Rule& rule) {
  switch (rule.target_case()) {
    case v1::Rule::kItemId:
      return absl::StrCat("item ", rule.item_id());
    case v1::Rule::kCategory:
      return absl::StrCat("category ", rule.category());
    case v1::Rule::kLabel:
      return absl::StrCat("label ", rule.label());
    case v1::Rule::TARGET_NOT_SET:
      break;
  }
  return "";
}

}  // namespace

std::string FormatTable(const std::vector<std::string>& header, absl::Span<const std::vector<std::string>> rows) {
  std::vector<size_t> widths(header.size(), 0);
  const auto widen = [&](const std::vector<std::string>& row) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], Characters(row[i]));
    }
  };
  widen(header);
  for (const auto& row : rows) {
    widen(row);
  }
  std::string text;
  const auto append = [&](const std::vector<std::string>& row) {
    for (size_t i = 0; i + 1 < row.size(); ++i) {
      absl::StrAppend(&text, row[i], std::string(widths[i] - Characters(row[i]) + 2, ' '));
    }
    absl::StrAppend(&text, row.back(), "\n");
  };
  append(header);
  for (const auto& row : rows) {
    append(row);
  }
  return text;
}

std::string FormatAge(absl::Duration age) {
  if (age < absl::ZeroDuration()) {
    return "0ms";
  }
  if (age < absl::Seconds(1)) {
    return absl::StrCat(absl::ToInt64Milliseconds(age), "ms");
  }
  if (age < absl::Minutes(1)) {
    return absl::StrCat(absl::ToInt64Seconds(age), "s");
  }
  if (age < absl::Hours(1)) {
    return absl::StrCat(absl::ToInt64Minutes(age), "m");
  }
  return age < absl::Hours(24) ? absl::StrCat(absl::ToInt64Hours(age), "h")
                               : absl::StrCat(absl::ToInt64Hours(age) / 24, "d");
}

std::string FormatReason(const v1::Reason& reason) {
  switch (reason.kind_case()) {
    case v1::Reason::kSource:
      return absl::StrFormat("%s %.3g", v1::Source_Name(reason.source()), reason.part());
    case v1::Reason::kCategoryBoost:
      return FormatBoost(reason.part(), "category", reason.category_boost().category(), reason.category_boost());
    case v1::Reason::kLabelBoost:
      return FormatBoost(reason.part(), "label", reason.label_boost().label(), reason.label_boost());
    case v1::Reason::kRule:
      return absl::StrFormat("x%.2f rule %s", reason.part(), reason.rule().rule_id());
    case v1::Reason::kFatigue:
      return absl::StrFormat("x%.2f shown %d times, the last %s ago", reason.part(), reason.fatigue().impressions(),
                             FormatAge(ToDuration(reason.fatigue().cause().age())));
    case v1::Reason::KIND_NOT_SET:
      break;
  }
  return "?";
}

std::string CutTitle(absl::string_view title) {
  std::string text(title);
  const bool utf8 = IsUtf8(text);
  for (char& byte : text) {
    const auto code = static_cast<unsigned char>(byte);
    if (code < 0x20 || code == 0x7f || (!utf8 && code >= 0x80)) {
      byte = '?';
    }
  }
  if (Characters(text) > kTitleCharacters) {
    size_t end = 0;
    for (size_t characters = 1; characters < kTitleCharacters; ++characters) {
      ++end;
      while (ContinuesCharacter(text[end])) {
        ++end;
      }
    }
    text = absl::StrCat(absl::string_view(text).substr(0, end), "\u2026");
  }
  return text;
}

std::string FormatProfile(const v1::GetProfileResponse& response) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::GetProfileResponse::ItemDecisions& item : response.items()) {
    rows.push_back({item.item_id(), absl::StrJoin(item.decisions(), ", ", [](std::string* out, const auto& event) {
                      absl::StrAppend(out, FormatEvent(event));
                    })});
  }
  std::string text = rows.empty() ? "nothing is known\n" : FormatTable({"ITEM", "EVENTS"}, rows);
  if (!response.segment().empty()) {
    absl::StrAppend(&text, "segment ", response.segment(), "\n");
  }
  if (response.has_forgotten_until()) {
    absl::StrAppend(&text, "forgotten until ", FormatDate(ToTime(response.forgotten_until())), "\n");
  }
  return text;
}

std::string FormatRecentlyViewed(const v1::RecentlyViewedResponse& response, absl::Span<const std::string> titles) {
  std::vector<std::vector<std::string>> rows;
  for (int i = 0; i < response.items_size(); ++i) {
    rows.push_back({response.items(i).item_id(), CutTitle(titles[i]),
                    i < response.events_size() ? FormatEvent(response.events(i)) : ""});
  }
  return rows.empty() ? "no items\n" : FormatTable({"ITEM", "TITLE", "EVENT"}, rows);
}

std::string FormatWhyNot(const v1::WhyNotResponse& response) {
  std::string text = absl::StrCat(v1::WhyNotResponse::Cause_Name(response.cause()), ": ", response.detail());
  if (response.has_event()) {
    absl::StrAppend(&text, " (", FormatEvent(response.event()), ")");
  }
  absl::StrAppend(&text, "\n");
  if (response.has_item()) {
    absl::StrAppend(&text, absl::StrFormat("score %.4f: ", response.item().score()),
                    FormatReasons(response.item().reasons()), "\n");
  }
  return text;
}

std::string FormatForgetReport(const v1::GetForgetReportResponse& response) {
  if (response.done()) {
    return "nothing holds what was forgotten\n";
  }
  std::vector<std::vector<std::string>> rows;
  for (const v1::GetForgetReportResponse::Place& place : response.places()) {
    rows.push_back({place.name(), place.has_until() ? FormatDate(ToTime(place.until())) : "-", place.when()});
  }
  return FormatTable({"MAY HOLD IT", "UNTIL", "WHEN"}, rows);
}

std::string FormatItems(const google::protobuf::RepeatedPtrField<v1::RecommendedItem>& items,
                        absl::Span<const std::string> titles) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::RecommendedItem& item : items) {
    rows.push_back({absl::StrCat(rows.size() + 1), item.item_id(), CutTitle(titles[rows.size()]),
                    absl::StrFormat("%.4f", item.score()),
                    FormatReasons(item.reasons())});
  }
  return rows.empty() ? "no items\n" : FormatTable({"RANK", "ITEM", "TITLE", "SCORE", "REASONS"}, rows);
}

std::string FormatFreshness(const v1::Freshness& freshness, absl::Time now) {
  std::string text = freshness.generation() == 0 ? "no snapshot" : absl::StrCat("snapshot ", freshness.generation());
  if (freshness.has_snapshot_created()) {
    absl::StrAppend(&text, " (", FormatAge(now - ToTime(freshness.snapshot_created())), " old)");
  }
  for (const v1::PartitionFreshness& partition : freshness.partitions()) {
    absl::StrAppend(&text, "; partition ", partition.partition(), ": W ", partition.watermark(), ", applied ",
                    partition.applied_offset());
    if (partition.has_lag()) {
      absl::StrAppend(&text, ", ", FormatAge(ToDuration(partition.lag())), " ago");
    }
  }
  if (freshness.degraded_size() > 0) {
    absl::StrAppend(&text, "; degraded: ", absl::StrJoin(freshness.degraded(), ", ", [](std::string* out, int value) {
                      absl::StrAppend(out, v1::Degradation_Name(static_cast<v1::Degradation>(value)));
                    }));
  }
  return absl::StrCat(text, "\n");
}

std::string FormatTotals(const v1::TotalsResponse& response) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::Total& total : response.totals()) {
    rows.push_back({total.key().empty() ? "(all)" : total.key(), v1::EventType_Name(total.type()),
                    absl::StrCat(total.events()), FormatMicros(total.quantity_micros()),
                    FormatMicros(total.value_micros())});
  }
  return rows.empty() ? "no events\n" : FormatTable({"KEY", "TYPE", "EVENTS", "QUANTITY", "VALUE"}, rows);
}

std::string FormatWindows(const v1::WindowsResponse& response) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::WindowsResponse::Window& window : response.windows()) {
    rows.push_back({FormatDate(ToTime(window.start())), absl::StrCat(window.events()),
                    FormatMicros(window.quantity_micros()), FormatMicros(window.value_micros())});
  }
  return absl::StrCat(rows.empty() ? "no events\n" : FormatTable({"FROM", "EVENTS", "QUANTITY", "VALUE"}, rows),
                      response.has_complete_from()
                          ? absl::StrCat("complete from ", FormatDate(ToTime(response.complete_from())), "\n")
                          : "");
}

std::string FormatExperimentRates(const v1::ExperimentRatesResponse& response) {
  const auto rate = [](bool known, double value) { return known ? absl::StrFormat("%.3f %%", 100 * value) : "-"; };
  std::vector<std::vector<std::string>> rows;
  for (const v1::BucketRates& bucket : response.buckets()) {
    rows.push_back({bucket.bucket(), absl::StrCat(bucket.impressions()), absl::StrCat(bucket.clicks()),
                    absl::StrCat(bucket.add_to_carts()), absl::StrCat(bucket.purchases()),
                    FormatMicros(bucket.purchase_value_micros()), rate(bucket.has_click_rate(), bucket.click_rate()),
                    rate(bucket.has_purchase_rate(), bucket.purchase_rate())});
  }
  return rows.empty() ? "no experiments\n"
                      : FormatTable({"BUCKET", "IMPRESSIONS", "CLICKS", "CARTS", "PURCHASES", "VALUE", "CLICKED", "BOUGHT"},
                                    rows);
}

std::string FormatRules(const v1::ListRulesResponse& response) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::Rule& rule : response.rules()) {
    rows.push_back({rule.rule_id(), v1::RuleAction_Name(rule.action()), RuleTarget(rule),
                    absl::StrFormat("%g", rule.strength()), rule.segment().empty() ? "(all)" : rule.segment(),
                    rule.has_start() ? FormatDate(ToTime(rule.start())) : "-",
                    rule.has_end() ? FormatDate(ToTime(rule.end())) : "-", rule.comment()});
  }
  return rows.empty() ? "no rules\n"
                      : FormatTable({"RULE", "ACTION", "TARGET", "STRENGTH", "SEGMENT", "START", "END", "COMMENT"}, rows);
}

std::string FormatSnapshots(const v1::ListSnapshotsResponse& response) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::ListSnapshotsResponse::Snapshot& snapshot : response.snapshots()) {
    const v1::SnapshotManifest& manifest = snapshot.manifest();
    rows.push_back({absl::StrCat(manifest.generation(), snapshot.serving() ? "*" : ""),
                    FormatDate(ToTime(manifest.created())), absl::StrCat(manifest.events()),
                    absl::StrCat(manifest.users()), absl::StrCat(manifest.items()),
                    snapshot.has_gate() ? FormatVerdict(snapshot.gate()) : "-",
                    absl::StrJoin(manifest.metrics(), " ", [](std::string* out, const v1::QualityMetric& metric) {
                      if (metric.model().empty()) {
                        absl::StrAppendFormat(out, "%s=%.4f", metric.name(), metric.value());
                      }
                    })});
  }
  return rows.empty() ? "no snapshots\n"
                      : FormatTable({"GENERATION", "CREATED", "EVENTS", "USERS", "ITEMS", "GATE", "QUALITY"}, rows);
}

std::string FormatCanary(const v1::GetCanaryResponse& response) {
  if (!response.has_canary()) {
    return "no canary runs\n";
  }
  const v1::Canary& canary = response.canary();
  return absl::StrCat("snapshot ", canary.generation(), " for ", canary.percent(), " % of the users since ",
                      FormatDate(ToTime(canary.started())), ", beside snapshot ", canary.current_generation(), ": ",
                      response.serving()           ? "this server answers from it"
                      : response.refused().empty() ? "this server is loading it"
                                                   : absl::StrCat("refused by this server: ", response.refused()),
                      "\n");
}

std::string FormatSnapshotDiff(const v1::SnapshotDiff& diff) {
  // Counts as they are, other shares and metrics with four digits.
  const auto number = [](double value) {
    return value == std::floor(value) ? absl::StrFormat("%.0f", value) : absl::StrFormat("%.4f", value);
  };
  std::vector<std::vector<std::string>> rows;
  for (const v1::SnapshotDiff::Figure& figure : diff.figures()) {
    std::string change = "-";
    if (figure.has_before() && figure.has_after() && figure.before() != 0) {
      change = absl::StrFormat("%+.2f %%", 100 * (figure.after() - figure.before()) / figure.before());
    }
    rows.push_back({figure.name(), figure.has_before() ? number(figure.before()) : "-",
                    figure.has_after() ? number(figure.after()) : "-", std::move(change)});
  }
  for (const v1::SnapshotDiff::Watermark& watermark : diff.watermarks()) {
    rows.push_back({absl::StrCat("W of partition ", watermark.partition()), absl::StrCat(watermark.before()),
                    absl::StrCat(watermark.after()), absl::StrFormat("%+d", watermark.after() - watermark.before())});
  }
  const auto churn = [](bool measured, double share) {
    return measured ? absl::StrFormat("%.1f %%", 100 * share) : std::string("nothing to compare");
  };
  return absl::StrCat(
      FormatTable({"", absl::StrCat(diff.before_generation()), absl::StrCat(diff.after_generation()), "CHANGE"}, rows),
      "gone from the first 20 of users' lists: ", churn(diff.has_list_churn(), diff.list_churn()),
      "; of the popular items: ", churn(diff.has_popular_churn(), diff.popular_churn()), "\n",
      diff.same_content() ? "same content" : "other content", diff.same_config() ? "" : ", other batch configuration",
      "\n");
}

std::string FormatPosition(const v1::EventPosition& position) {
  return position.partition() < 0 ? absl::StrCat("import:", position.offset())
                                  : absl::StrCat(position.partition(), ":", position.offset());
}

std::string FormatDeadLetter(const ListedDeadLetter& listed, const v1::Event* event) {
  const v1::DeadLetter& letter = listed.letter;
  std::string text = absl::StrCat("at      ", FormatPosition(listed.position), "\ntime    ",
                                  FormatDate(absl::FromUnixMillis(letter.record_time_unix_ms())), "\nsource  ",
                                  letter.source_topic(), " ", FormatPosition(letter.source()), "\ncause   ",
                                  v1::RejectCause_Name(letter.cause()), "\n");
  if (!letter.field().empty()) {
    absl::StrAppend(&text, "field   ", letter.field(), "\n");
  }
  absl::StrAppend(&text, "reason  ", letter.reason(), "\nkey     ", absl::CHexEscape(letter.original_key()), "\n");
  std::string json;   // A time beyond the calendar has none.
  if (event != nullptr && google::protobuf::util::MessageToJsonString(*event, &json).ok()) {
    return absl::StrCat(text, "event   ", json, "\n");
  }
  return absl::StrCat(text, "bytes   ", absl::CHexEscape(letter.original_value()), "\n");
}

std::string FormatDeadLetters(absl::Span<const ListedDeadLetter> letters) {
  std::vector<std::vector<std::string>> rows;
  for (const ListedDeadLetter& listed : letters) {
    rows.push_back({FormatPosition(listed.position),
                    FormatDate(absl::FromUnixMillis(listed.letter.record_time_unix_ms())),
                    absl::StrCat(listed.letter.source_topic(), " ", FormatPosition(listed.letter.source())),
                    v1::RejectCause_Name(listed.letter.cause()),
                    listed.letter.field().empty() ? "-" : listed.letter.field(), listed.letter.reason()});
  }
  return rows.empty() ? "no dead letters\n"
                      : FormatTable({"AT", "TIME", "SOURCE", "CAUSE", "FIELD", "REASON"}, rows);
}

std::string FormatJson(const google::protobuf::Message& message) {
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(message, &text);
  CHECK(status.ok()) << status.ToString();
  return absl::StrCat(text, "\n");
}

}  // namespace tributary::serving
