#ifndef TRIBUTARY_BATCH_LAYER_EXIT_CODE_H_
#define TRIBUTARY_BATCH_LAYER_EXIT_CODE_H_

#include "absl/status/status.h"

namespace tributary::batch {

// What tributary-batch exits with, so that a scheduler can tell what to do. Listed in batch_layer/README.md.
enum class ExitCode : int {
  kDone = 0,
  kFailed = 1,           // Anything not named below.
  kUsage = 2,            // Flags, configuration, mapping or an input file: mend them.
  kLocked = 3,           // Another run holds the history: nothing to do.
  kUnavailable = 4,      // Kafka or the file system did not answer: try again later.
  kInconsistent = 5,     // Topic, history or a file do not match: a person must look.
  kNoSpace = 6,          // Disk or memory full.
  kStopped = 7,          // By SIGTERM or SIGINT.
  kRefused = 8,          // The gate refused the new snapshot; no status has this code.
};

inline ExitCode ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return ExitCode::kDone;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
      return ExitCode::kUsage;
    case absl::StatusCode::kAborted:
      return ExitCode::kLocked;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return ExitCode::kUnavailable;
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kOutOfRange:
      return ExitCode::kInconsistent;
    case absl::StatusCode::kResourceExhausted:
      return ExitCode::kNoSpace;
    case absl::StatusCode::kCancelled:
      return ExitCode::kStopped;
    default:
      return ExitCode::kFailed;
  }
}

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_EXIT_CODE_H_
