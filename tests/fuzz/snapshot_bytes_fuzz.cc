#include <algorithm>
#include <cstring>

#include <glog/logging.h>

#include "common/sessions/session_neighbours.h"
#include "common/snapshot/format.h"
#include "tests/fuzz/fuzz_target.h"

// Any bytes as a flat file, as factors, as sessions and as a key of `counts`: what is taken lies within the bytes and
// is written back the same; what is refused says so by its code.
namespace tributary::fuzz {
namespace {

namespace format = snapshot_format;

void CheckFlatFile(absl::string_view bytes, absl::string_view magic, uint64_t entry_size) {
  const auto file = format::ParseFlatFile(bytes, magic, entry_size);
  if (!file.ok()) {
    CHECK(absl::IsDataLoss(file.status()) || absl::IsFailedPrecondition(file.status())) << file.status();
    return;
  }
  const std::string prefix = format::EncodeFlatPrefix(magic, file->offsets);
  CHECK(bytes.substr(0, prefix.size()) == prefix);
  CHECK_EQ(file->offsets.front(), 0U);
  for (uint32_t i = 0; i < file->count(); ++i) CHECK_LE(file->offsets[i], file->offsets[i + 1]);
  CHECK_EQ(prefix.size() + file->offsets.back() * entry_size, bytes.size());
  CHECK(file->entries == bytes.data() + prefix.size());
}

void CheckFactors(absl::string_view bytes) {
  const auto factors = format::ParseFactorsFile(bytes);
  if (!factors.ok()) {
    CHECK(absl::IsDataLoss(factors.status()) || absl::IsFailedPrecondition(factors.status())) << factors.status();
    return;
  }
  CHECK_EQ(factors->values.size(), factors->items * static_cast<size_t>(factors->dimensions));
  CHECK(reinterpret_cast<const char*>(factors->values.data() + factors->values.size()) == bytes.data() + bytes.size());
  // What an eigenvalue may be is the writer's to say: readers see what the checksum covers.
  const auto prefix = format::EncodeFactorsPrefix(*factors);
  CHECK(prefix.ok() || absl::IsInvalidArgument(prefix.status())) << prefix.status();
}

void CheckSessions(absl::string_view bytes) {
  const auto sessions = format::ParseSessionsFile(bytes);
  if (!sessions.ok()) {
    CHECK(absl::IsDataLoss(sessions.status()) || absl::IsFailedPrecondition(sessions.status())) << sessions.status();
    return;
  }
  CHECK(format::EncodeSessions(*sessions) == bytes);
  SessionNeighbours::Scratch scratch;  // What was taken can be asked.
  const SessionNeighbours neighbours(*sessions, {});
  for (uint32_t item = 0; item < std::min(sessions->items(), 4u); ++item) {
    (void)neighbours.Next({.items = absl::MakeConstSpan(&item, 1)}, 5, &scratch);
  }
}

void CheckCountKey(absl::string_view bytes) {
  const auto key = format::DecodeCountKey(bytes);
  if (!key.ok()) {
    CHECK(absl::IsDataLoss(key.status())) << key.status();
    return;
  }
  const auto again = format::EncodeCountKey(*key);
  CHECK(again.ok()) << again.status();
  CHECK(*again == bytes);
}

}  // namespace

std::vector<std::string> FuzzSeeds() {
  std::vector<std::string> seeds = {
      format::EncodeFlatPrefix(format::kItemsMagic, std::vector<uint64_t>{0}),
      format::EncodeFlatPrefix(format::kItemsMagic, {{0, 3, 3, 5}}) + "abcde",
      format::EncodeFlatPrefix(format::kNeighboursMagic, {{0, 2, 2}}) + std::string(16, '\1'),
  };
  const std::vector<float> ones(6, 1.0f);
  const auto eigenvalues = absl::MakeConstSpan(ones).first(2);
  seeds.push_back(
      *format::EncodeFactorsPrefix(
          {.items = 3, .dimensions = 2, .unobserved_weight = 1, .eigenvalues = eigenvalues, .values = ones}) +
      std::string(24, '\1'));
  seeds.push_back(format::EncodeSessions(SessionIndexArrays::Build({{1, {0, 2, 1}}, {2, {1, 3}}}, 4, 2).index()));
  for (const std::string& text : {std::string(), std::string("tea"), std::string("a\0b\0", 4)}) {
    seeds.push_back(*format::EncodeCountKey({.measure = v1::BY_ITEM, .key = text, .type = v1::PURCHASE}));
  }
  return seeds;
}

}  // namespace tributary::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary;
  // Of just this size and on the heap, so that AddressSanitizer sees a read beyond it; new aligns it as a mapped file is.
  const std::unique_ptr<char[]> copy(new char[size]);
  if (size > 0) std::memcpy(copy.get(), data, size);
  const absl::string_view bytes(copy.get(), size);
  fuzz::CheckFlatFile(bytes, snapshot_format::kItemsMagic, 1);
  fuzz::CheckFlatFile(bytes, snapshot_format::kNeighboursMagic, sizeof(ScoredItem));
  fuzz::CheckFactors(bytes);
  fuzz::CheckSessions(bytes);
  fuzz::CheckCountKey(bytes);
  return 0;
}
