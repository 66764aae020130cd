#ifndef TRIBUTARY_COMMON_CONFIG_CONFIG_H_
#define TRIBUTARY_COMMON_CONFIG_CONFIG_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tributary/v1/config.pb.h"

namespace tributary {

// Reads the configuration file (protobuf text format), lays `overrides` over it (each a text-format snippet such as
// `kafka { brokers: "host:9092" }`), fills in the defaults that config.proto names, and checks ranges.
// An empty path: defaults alone. Errors: NotFound names the path; InvalidArgument names file, line and field.
absl::StatusOr<v1::Config> LoadConfig(const std::string& path, absl::Span<const std::string> overrides);

// The defaults, complete: every scalar field is set.
v1::Config DefaultConfig();

// The policy of an experiment's bucket: what it sets laid over `merge`, a list as a whole.
v1::MergePolicy PolicyOfBucket(const v1::MergePolicy& merge, const v1::MergePolicy& bucket);

// InvalidArgument names the field that is out of range.
absl::Status ValidateConfig(const v1::Config& config);

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_CONFIG_CONFIG_H_
