#ifndef TRIBUTARY_SERVING_LAYER_REQUESTS_PAGE_TOKEN_H_
#define TRIBUTARY_SERVING_LAYER_REQUESTS_PAGE_TOKEN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/ids/ids.h"
#include "common/merge/catalogue.h"

namespace tributary::serving {

// Items that the pages of one answer can show altogether; behind them there is no next page.
inline constexpr size_t kMaxShown = 1000;

// Makes a token's checksum differ from that of the same bytes elsewhere. A token guards nothing but its holder's own paging.
inline constexpr uint64_t kPageTokenChecksumSeed = 0x7472696275746172;

// What the next page must know of the pages before it. Any replica that serves the same generation can go on with it.
struct PageToken {
  Generation generation{};            // 0: no snapshot.
  uint64_t request_hash = 0;          // Of the request's other fields: they must stay the same.
  std::vector<ItemNumber> shown;      // At most kMaxShown.
};

// Web-safe base64 of: xxh64 of the rest (8 bytes), generation, request hash (8 bytes each, all little-endian), then each
// shown item: a number below `snapshot_items` as varint of number + 1, any other as 0, its length as varint, its id.
std::string EncodePageToken(const PageToken& token, const Catalogue& catalogue, uint32_t snapshot_items);

// InvalidArgument: not a token that EncodePageToken made. FailedPrecondition: made for another generation, the pages
// before cannot be continued. Shown items that `catalogue` does not know are left out.
absl::StatusOr<PageToken> DecodePageToken(absl::string_view text, Generation generation, uint64_t request_hash,
                                          const Catalogue& catalogue, uint32_t snapshot_items);

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_REQUESTS_PAGE_TOKEN_H_
