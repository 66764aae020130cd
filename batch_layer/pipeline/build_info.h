#ifndef TRIBUTARY_BATCH_LAYER_PIPELINE_BUILD_INFO_H_
#define TRIBUTARY_BATCH_LAYER_PIPELINE_BUILD_INFO_H_

#include "absl/strings/string_view.h"

namespace tributary::batch {

// `git describe` of the source when the build was configured.
absl::string_view CodeVersion();

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_PIPELINE_BUILD_INFO_H_
