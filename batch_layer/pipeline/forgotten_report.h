#ifndef TRIBUTARY_BATCH_LAYER_PIPELINE_FORGOTTEN_REPORT_H_
#define TRIBUTARY_BATCH_LAYER_PIPELINE_FORGOTTEN_REPORT_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "batch_layer/history/history.h"
#include "common/snapshot/snapshot.h"
#include "tributary/v1/config.pb.h"
#include "tributary/v1/history.pb.h"

namespace tributary::batch {

// Who was forgotten, and what still holds what a FORGET hides, until when:
//   snapshots  one whose W the FORGET is not below. With a `user_id` it is opened and looked into. It goes when so many
//              newer ones of its kind (passed, refused) have been written, and not while it is the current one.
//   history    events whose ids may still refuse a repeat, counted by reading them.
//   topics     `events` by its configured retention; nobody looks into Kafka.
// With a `user_id` of that user alone; without a FORGET of theirs the history knows nothing to be let go of.
// Errors: of the history and the snapshots.
absl::StatusOr<v1::ForgottenReport> ReportForgotten(const v1::Config& config, History& history,
                                                    const std::optional<std::string>& user_id);

// As a table.
std::string Describe(const v1::ForgottenReport& report);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_PIPELINE_FORGOTTEN_REPORT_H_
