#ifndef TRIBUTARY_COMMON_EVENT_UTF8_H_
#define TRIBUTARY_COMMON_EVENT_UTF8_H_

#include <google/protobuf/stubs/common.h>

#include "absl/strings/string_view.h"

namespace tributary {

// The test that the protobuf parser itself applies to strings, so that both always agree.
inline bool IsUtf8(absl::string_view text) {
  return google::protobuf::internal::IsStructurallyValidUTF8(text.data(), static_cast<int>(text.size()));
}

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_EVENT_UTF8_H_
