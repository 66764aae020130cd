#ifndef TRIBUTARY_SERVING_LAYER_CLI_FORMAT_H_
#define TRIBUTARY_SERVING_LAYER_CLI_FORMAT_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "google/protobuf/message.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "tributary/v1/admin_service.pb.h"
#include "tributary/v1/analytics_service.pb.h"
#include "tributary/v1/catalogue_service.pb.h"
#include "tributary/v1/event_service.pb.h"
#include "tributary/v1/dead_letter.pb.h"
#include "tributary/v1/recommendation_service.pb.h"
#include "tributary/v1/snapshot.pb.h"

// What `tributary` prints: tables for people, one line of JSON for machines. Pure functions; every text ends in a newline.
namespace tributary::serving {

// Columns as wide as their widest cell in characters (UTF-8), two spaces between; the last one is not padded.
std::string FormatTable(const std::vector<std::string>& header, absl::Span<const std::vector<std::string>> rows);

// 850ms, 12s, 5m, 3h, 2d: the largest unit of which there is at least one.
std::string FormatAge(absl::Duration age);

// One reason in a few words: `PERSONAL 0.81`, `x1.30 category lamp (VIEW 2m ago at 0:1042)`, `x0.50 rule bury-old`.
std::string FormatReason(const v1::Reason& reason);

// The first 40 characters of a title, the last of them an ellipsis if it had more. Control characters and what is not UTF-8
// become `?`: a terminal obeys them.
std::string CutTitle(absl::string_view title);

// Rank, item, title, score and reasons of each item. `titles`: by place in `items`; empty: not known.
std::string FormatItems(const google::protobuf::RepeatedPtrField<v1::RecommendedItem>& items,
                        absl::Span<const std::string> titles);

// What the answer rests on, in one line.
std::string FormatFreshness(const v1::Freshness& freshness, absl::Time now);

// Item, then the latest event of each kind with its age.
std::string FormatProfile(const v1::GetProfileResponse& response);
// Item and when it was looked at. `titles`: as in FormatItems.
std::string FormatRecentlyViewed(const v1::RecentlyViewedResponse& response, absl::Span<const std::string> titles);
// One line or two: the cause, what it says more, then score and reasons if it ranked.
std::string FormatWhyNot(const v1::WhyNotResponse& response);
std::string FormatForgetReport(const v1::GetForgetReportResponse& response);

std::string FormatTotals(const v1::TotalsResponse& response);
// A window a line, then from when on they are complete.
std::string FormatWindows(const v1::WindowsResponse& response);
std::string FormatExperimentRates(const v1::ExperimentRatesResponse& response);
std::string FormatRules(const v1::ListRulesResponse& response);
// `*` is the one that is served, or current.
std::string FormatSnapshots(const v1::ListSnapshotsResponse& response);
// One line.
std::string FormatCanary(const v1::GetCanaryResponse& response);
// A table of figures and W, then churn in words.
std::string FormatSnapshotDiff(const v1::SnapshotDiff& diff);

// A dead letter and where it lies.
struct ListedDeadLetter {
  v1::EventPosition position;
  v1::DeadLetter letter;
};
std::string FormatDeadLetters(absl::Span<const ListedDeadLetter> letters);
// A field a line, then what was refused: as JSON when it could be read as `event` (else null), or its bytes with escapes.
std::string FormatDeadLetter(const ListedDeadLetter& listed, const v1::Event* event);
// PARTITION:OFFSET.
std::string FormatPosition(const v1::EventPosition& position);

// One line of proto3 JSON: names as in the .proto files in lower camel case, unset fields left out.
std::string FormatJson(const google::protobuf::Message& message);

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_CLI_FORMAT_H_
