#include <glog/logging.h>
#include <xxhash.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "serving_layer/requests/page_token.h"
#include "tests/fuzz/fuzz_target.h"

// Any bytes as a page token, once as they are and once behind a checksum that fits, so that what lies behind it is reached:
// what is taken keeps the limits and is written back the same; what is refused says so by its code.
namespace tributary::fuzz {
namespace {

using serving::DecodePageToken;
using serving::EncodePageToken;
using serving::PageToken;

constexpr Generation kGeneration{3};
constexpr uint64_t kRequestHash = 77;
constexpr uint32_t kSnapshotItems = 4;   // The other half of the catalogue came later.

const Catalogue& Items() {
  static const std::shared_ptr<const Catalogue> catalogue = [] {
    CatalogueBuilder builder;
    for (uint32_t i = 0; i < 2 * kSnapshotItems; ++i) {
      v1::Item item;
      item.set_item_id(absl::StrCat("item-", i));
      builder.Put(item);
    }
    return std::move(builder).Build();
  }();
  return *catalogue;
}

absl::StatusOr<PageToken> Decode(absl::string_view text) {
  return DecodePageToken(text, kGeneration, kRequestHash, Items(), kSnapshotItems);
}

void CheckToken(absl::string_view text) {
  const absl::StatusOr<PageToken> token = Decode(text);
  if (!token.ok()) {
    CHECK(absl::IsInvalidArgument(token.status()) || absl::IsFailedPrecondition(token.status())) << token.status();
    return;
  }
  CHECK_LE(token->shown.size(), serving::kMaxShown);
  for (const ItemNumber item : token->shown) {
    CHECK_LT(Value(item), 2 * kSnapshotItems);
  }
  const absl::StatusOr<PageToken> again = Decode(EncodePageToken(*token, Items(), kSnapshotItems));
  CHECK(again.ok()) << again.status();
  CHECK(again->shown == token->shown);
}

}  // namespace

std::vector<std::string> FuzzSeeds() {
  std::vector<std::string> seeds;
  PageToken token{.generation = kGeneration, .request_hash = kRequestHash};
  for (uint32_t i = 0; i < 2 * kSnapshotItems; ++i) {
    const std::string text = EncodePageToken(token, Items(), kSnapshotItems);
    CHECK(Decode(text).ok());
    seeds.push_back(text);
    std::string bytes;
    CHECK(absl::WebSafeBase64Unescape(text, &bytes));
    seeds.push_back(bytes.substr(sizeof(XXH64_hash_t)));
    token.shown.push_back(ItemNumber{i});
  }
  token.generation = Generation{2};
  seeds.push_back(EncodePageToken(token, Items(), kSnapshotItems));
  return seeds;
}

}  // namespace tributary::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  tributary::fuzz::CheckToken(input);
  const uint64_t checksum = XXH64(input.data(), input.size(), tributary::serving::kPageTokenChecksumSeed);
  std::string framed;
  for (size_t i = 0; i < sizeof(checksum); ++i) {
    framed.push_back(static_cast<char>(checksum >> (8 * i)));
  }
  tributary::fuzz::CheckToken(absl::WebSafeBase64Escape(framed + input));
  return 0;
}
