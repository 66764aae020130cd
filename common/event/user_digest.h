#ifndef TRIBUTARY_COMMON_EVENT_USER_DIGEST_H_
#define TRIBUTARY_COMMON_EVENT_USER_DIGEST_H_

#include <string>

#include "absl/strings/string_view.h"

namespace tributary {

inline constexpr size_t kUserDigestBytes = 16;

// What is kept of a person who was forgotten, to know them again when older events of theirs come: the first 16 bytes of
// the SHA-256 of the user id. Nobody can make an id that passes for another's. Whoever has an id can tell whether it is
// listed; nobody can read ids from the list, unless they can be guessed. A pure function, for good: it is stored.
std::string UserDigest(absl::string_view user_id);

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_EVENT_USER_DIGEST_H_
