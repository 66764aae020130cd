#include "serving_layer/requests/page_token.h"

#include <xxhash.h>

#include <optional>

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace tributary::serving {
namespace {

using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;
using google::protobuf::io::StringOutputStream;

constexpr size_t kChecksumBytes = 8;
constexpr size_t kMaxTokenBytes = 512 * 1024;

absl::Status Invalid() {
  return absl::InvalidArgumentError("page_token is not one that this service gave out");
}

}  // namespace

std::string EncodePageToken(const PageToken& token, const Catalogue& catalogue, uint32_t snapshot_items) {
  std::string bytes;
  bytes.reserve(3 * kChecksumBytes + 4 * token.shown.size());
  {
    StringOutputStream stream(&bytes);
    CodedOutputStream out(&stream);
    out.WriteLittleEndian64(0);   // The checksum's place.
    out.WriteLittleEndian64(static_cast<uint64_t>(Value(token.generation)));
    out.WriteLittleEndian64(token.request_hash);
    for (const ItemNumber item : token.shown) {
      if (Value(item) < snapshot_items) {
        out.WriteVarint32(Value(item) + 1);
      } else {
        const absl::string_view id = catalogue.Id(item);
        out.WriteVarint32(0);
        out.WriteVarint32(static_cast<uint32_t>(id.size()));
        out.WriteRaw(id.data(), static_cast<int>(id.size()));
      }
    }
  }
  const uint64_t checksum = XXH64(bytes.data() + kChecksumBytes, bytes.size() - kChecksumBytes, kPageTokenChecksumSeed);
  CodedOutputStream::WriteLittleEndian64ToArray(checksum, reinterpret_cast<uint8_t*>(bytes.data()));
  return absl::WebSafeBase64Escape(bytes);
}

absl::StatusOr<PageToken> DecodePageToken(absl::string_view text, Generation generation, uint64_t request_hash,
                                          const Catalogue& catalogue, uint32_t snapshot_items) {
  std::string bytes;
  if (text.size() > kMaxTokenBytes || !absl::WebSafeBase64Unescape(text, &bytes) || bytes.size() < kChecksumBytes) {
    return Invalid();
  }
  CodedInputStream in(reinterpret_cast<const uint8_t*>(bytes.data()), static_cast<int>(bytes.size()));
  uint64_t checksum = 0;
  uint64_t token_generation = 0;
  PageToken token;
  if (!in.ReadLittleEndian64(&checksum) ||
      checksum != XXH64(bytes.data() + kChecksumBytes, bytes.size() - kChecksumBytes, kPageTokenChecksumSeed) ||
      !in.ReadLittleEndian64(&token_generation) || !in.ReadLittleEndian64(&token.request_hash)) {
    return Invalid();
  }
  token.generation = Generation{static_cast<int64_t>(token_generation)};
  if (token.request_hash != request_hash) {
    return absl::InvalidArgumentError("page_token belongs to a different request: all other fields must stay the same");
  }
  if (token.generation != generation) {
    return absl::FailedPreconditionError(absl::StrCat(
        "page_token stale: its pages were cut from another snapshot, begin again: token_generation=",
        Value(token.generation), " generation=", Value(generation)));
  }
  size_t count = 0;
  std::string id;
  for (uint32_t number = 0; static_cast<size_t>(in.CurrentPosition()) < bytes.size();) {
    uint32_t length = 0;
    if (++count > kMaxShown || !in.ReadVarint32(&number)) {
      return Invalid();
    }
    if (number > 0) {
      if (number > snapshot_items) {
        return Invalid();
      }
      token.shown.push_back(ItemNumber{number - 1});
    } else if (!in.ReadVarint32(&length) || !in.ReadString(&id, static_cast<int>(length))) {
      return Invalid();
    } else if (const std::optional<ItemNumber> item = catalogue.Find(id)) {
      token.shown.push_back(*item);
    }
  }
  return token;
}

}  // namespace tributary::serving
