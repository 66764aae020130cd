#include "common/event/user_digest.h"

#include <openssl/sha.h>

#include <array>

namespace tributary {

std::string UserDigest(absl::string_view user_id) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(user_id.data()), user_id.size(), digest.data());
  return {digest.begin(), digest.begin() + kUserDigestBytes};
}

}  // namespace tributary
