#include "batch_layer/pipeline/build_info.h"

namespace tributary::batch {

absl::string_view CodeVersion() { return TRIBUTARY_CODE_VERSION; }

}  // namespace tributary::batch
