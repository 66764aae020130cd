#include "batch_layer/pipeline/build_info.h"

namespace tributary::batch {

absl::string_view CodeVersion() { return TRIBUTARY_CODE_VERSION; }

absl::string_view InstructionSet() {
#if defined(__AVX512F__)
  return "x86-64+avx512f";
#elif defined(__AVX2__)
  return "x86-64+avx2";
#elif defined(__x86_64__)
  return "x86-64";
#elif defined(__aarch64__)
  return "aarch64";
#else
  return "other";
#endif
}

}  // namespace tributary::batch
