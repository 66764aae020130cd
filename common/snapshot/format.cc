#include "common/snapshot/format.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/status/status_macros.h"

namespace tributary::snapshot_format {

static_assert(std::endian::native == std::endian::little, "flat files are mapped as they are");

namespace {

constexpr char kEnd = '\0';
constexpr char kEscape = '\xFF';

std::string Hex(XXH128_hash_t hash) { return absl::StrFormat("%016x%016x", hash.high64, hash.low64); }

absl::Status BadCountKey(absl::string_view bytes) {
  return absl::DataLossError(absl::StrCat("count key unreadable: key=", absl::BytesToHexString(bytes)));
}

}  // namespace

absl::string_view ViewName(View view) {
  switch (view) {
    case View::kUsers:
      return "users";
    case View::kPopularity:
      return "popularity";
    case View::kCounts:
      return "counts";
    case View::kCutCounts:
      return "cut_counts";
  }
  return "";
}

std::string ForgottenUserKey(absl::string_view user_digest) { return absl::StrCat("\x01", user_digest); }

bool IsForgottenUserKey(absl::string_view key) { return !key.empty() && key[0] == '\x01'; }

absl::StatusOr<std::string> EncodeCountKey(const CountKey& key) {
  // A type of 0xFF would not sort before the escape.
  if (key.measure <= 0 || key.measure > 0xFF || key.type <= 0 || key.type >= 0xFF) {
    return absl::InvalidArgumentError(absl::StrCat("count key out of range: measure=", static_cast<int>(key.measure),
                                                   " type=", static_cast<int>(key.type)));
  }
  std::string bytes;
  bytes.reserve(key.key.size() + 3);
  bytes.push_back(static_cast<char>(key.measure));
  for (char c : key.key) {
    bytes.push_back(c);
    if (c == kEnd) {
      bytes.push_back(kEscape);
    }
  }
  bytes.push_back(kEnd);
  bytes.push_back(static_cast<char>(key.type));
  return bytes;
}

absl::StatusOr<CountKey> DecodeCountKey(absl::string_view bytes) {
  if (bytes.size() < 3 || bytes[bytes.size() - 2] != kEnd) {
    return BadCountKey(bytes);
  }
  CountKey key;
  key.measure = static_cast<v1::Measure>(static_cast<uint8_t>(bytes.front()));
  key.type = static_cast<v1::EventType>(static_cast<uint8_t>(bytes.back()));
  const absl::string_view text = bytes.substr(1, bytes.size() - 3);
  for (size_t i = 0; i < text.size(); ++i) {
    key.key.push_back(text[i]);
    if (text[i] == kEnd && (++i == text.size() || text[i] != kEscape)) {
      return BadCountKey(bytes);
    }
  }
  if (key.measure == 0 || key.type == 0 || bytes.back() == kEscape) {
    return BadCountKey(bytes);
  }
  return key;
}

absl::StatusOr<std::string> EncodePartition(PartitionId partition) {
  if (Value(partition) < 0) {
    return absl::InvalidArgumentError(absl::StrCat("partition out of range: partition=", Value(partition)));
  }
  const auto number = static_cast<uint32_t>(Value(partition));
  return std::string{static_cast<char>(number >> 24), static_cast<char>(number >> 16), static_cast<char>(number >> 8),
                     static_cast<char>(number)};
}

std::string EncodeFlatPrefix(absl::string_view magic, absl::Span<const uint64_t> offsets) {
  FlatHeader header{};
  std::memcpy(header.magic, magic.data(), sizeof(header.magic));
  header.version = kFlatVersion;
  header.count = static_cast<uint32_t>(offsets.size() - 1);
  header.entries = offsets.back();
  std::string bytes(sizeof(header) + offsets.size() * sizeof(uint64_t), '\0');
  std::memcpy(bytes.data(), &header, sizeof(header));
  std::memcpy(bytes.data() + sizeof(header), offsets.data(), offsets.size() * sizeof(uint64_t));
  return bytes;
}

namespace {

absl::Status Damaged(absl::string_view what, uint64_t offset) {
  return absl::DataLossError(absl::StrCat(what, ": offset=", offset));
}

absl::StatusOr<FlatHeader> ParseHeader(absl::string_view bytes, absl::string_view magic) {
  FlatHeader header;
  if (bytes.size() < sizeof(header)) {
    return Damaged("header cut short", bytes.size());
  }
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (absl::string_view(header.magic, sizeof(header.magic)) != magic) {
    return Damaged("wrong magic", offsetof(FlatHeader, magic));
  }
  if (header.version > kFlatVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("newer version than this build reads: version=", header.version, " known=", kFlatVersion));
  }
  if (header.version != kFlatVersion) {
    return Damaged("wrong version", offsetof(FlatHeader, version));
  }
  if (header.reserved != 0) {
    return Damaged("reserved bytes are not zero", offsetof(FlatHeader, reserved));
  }
  return header;
}

}  // namespace

absl::StatusOr<FlatFile> ParseFlatFile(absl::string_view bytes, absl::string_view magic, uint64_t entry_size) {
  TRIBUTARY_ASSIGN_OR_RETURN(const FlatHeader header, ParseHeader(bytes, magic));
  const uint64_t offsets_size = (uint64_t{header.count} + 1) * sizeof(uint64_t);
  const uint64_t rest = bytes.size() - sizeof(header);
  if (rest < offsets_size) {
    return Damaged("offsets cut short", bytes.size());
  }
  if (header.entries > (rest - offsets_size) / entry_size || header.entries * entry_size != rest - offsets_size) {
    return Damaged("entries do not fill the file", offsetof(FlatHeader, entries));
  }
  FlatFile file;
  file.offsets = absl::MakeConstSpan(reinterpret_cast<const uint64_t*>(bytes.data() + sizeof(header)),
                                     size_t{header.count} + 1);
  file.entries = bytes.data() + sizeof(header) + offsets_size;
  uint64_t before = 0;
  for (size_t i = 0; i < file.offsets.size(); ++i) {
    if (file.offsets[i] < before || file.offsets[i] > header.entries || (i == 0 && file.offsets[i] != 0)) {
      return Damaged("offset out of order", sizeof(header) + i * sizeof(uint64_t));
    }
    before = file.offsets[i];
  }
  if (before != header.entries) {
    return Damaged("last offset is not the end", sizeof(header) + offsets_size - sizeof(uint64_t));
  }
  return file;
}

namespace {

// What follows the header of factors.bin; the eigenvalues follow that, and both are as long as some cache lines.
struct FactorsOptions {
  float unobserved_weight;
  float regularization;
  float regularization_exponent;
  uint32_t reserved[5];
};
static_assert(sizeof(FlatHeader) + sizeof(FactorsOptions) == 64);

constexpr uint64_t kMostDimensions = 4096;
constexpr size_t kLineFloats = 16;

size_t PaddedEigenvalues(size_t dimensions) { return (dimensions + kLineFloats - 1) / kLineFloats * kLineFloats; }

bool IsWeight(float value) { return std::isfinite(value) && value >= 0; }

}  // namespace

absl::StatusOr<std::string> EncodeFactorsPrefix(const SnapshotFactors& factors) {
  const auto d = static_cast<size_t>(factors.dimensions);
  if (factors.dimensions < 1 || d > kMostDimensions || factors.eigenvalues.size() != d ||
      factors.values.size() != d * factors.items) {
    return absl::InvalidArgumentError(
        absl::StrCat("factors with unequal arrays: items=", factors.items, " dimensions=", factors.dimensions,
                     " eigenvalues=", factors.eigenvalues.size(), " values=", factors.values.size()));
  }
  if (!IsWeight(factors.unobserved_weight) || !IsWeight(factors.regularization) ||
      !IsWeight(factors.regularization_exponent) ||
      !std::all_of(factors.eigenvalues.begin(), factors.eigenvalues.end(), IsWeight)) {
    return absl::InvalidArgumentError("factors with an option or an eigenvalue that is not finite and >= 0");
  }
  FlatHeader header{};
  std::memcpy(header.magic, kFactorsMagic.data(), sizeof(header.magic));
  header.version = kFlatVersion;
  header.count = factors.items;
  header.entries = d;
  const FactorsOptions options{factors.unobserved_weight, factors.regularization, factors.regularization_exponent, {}};
  std::string bytes(sizeof(header) + sizeof(options) + PaddedEigenvalues(d) * sizeof(float), '\0');
  std::memcpy(bytes.data(), &header, sizeof(header));
  std::memcpy(bytes.data() + sizeof(header), &options, sizeof(options));
  std::memcpy(bytes.data() + sizeof(header) + sizeof(options), factors.eigenvalues.data(), d * sizeof(float));
  return bytes;
}

absl::StatusOr<SnapshotFactors> ParseFactorsFile(absl::string_view bytes) {
  TRIBUTARY_ASSIGN_OR_RETURN(const FlatHeader header, ParseHeader(bytes, kFactorsMagic));
  if (header.entries < 1 || header.entries > kMostDimensions) {
    return Damaged("dimensions out of range", offsetof(FlatHeader, entries));
  }
  const auto d = static_cast<size_t>(header.entries);
  FactorsOptions options;
  const size_t eigenvalues = sizeof(header) + sizeof(options);
  const size_t values = eigenvalues + PaddedEigenvalues(d) * sizeof(float);
  if (bytes.size() < values || bytes.size() - values != size_t{header.count} * d * sizeof(float)) {
    return Damaged("factors do not fill the file", offsetof(FlatHeader, count));
  }
  std::memcpy(&options, bytes.data() + sizeof(header), sizeof(options));
  if (!IsWeight(options.unobserved_weight) || !IsWeight(options.regularization) ||
      !IsWeight(options.regularization_exponent)) {
    return Damaged("option is not finite and >= 0", sizeof(header));
  }
  SnapshotFactors factors;
  factors.items = header.count;
  factors.dimensions = static_cast<int>(d);
  factors.unobserved_weight = options.unobserved_weight;
  factors.regularization = options.regularization;
  factors.regularization_exponent = options.regularization_exponent;
  factors.eigenvalues = absl::MakeConstSpan(reinterpret_cast<const float*>(bytes.data() + eigenvalues), d);
  factors.values = absl::MakeConstSpan(reinterpret_cast<const float*>(bytes.data() + values), size_t{header.count} * d);
  return factors;
}

namespace {

struct SessionCounts {
  uint64_t session_items;
  uint64_t item_sessions;
};

template <typename Value>
void AppendArray(absl::Span<const Value> values, std::string* bytes) {
  bytes->append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(Value));
  bytes->resize((bytes->size() + 7) / 8 * 8);
}

// Takes arrays one after the other; false: the bytes end before they do.
class ArrayReader {
 public:
  ArrayReader(absl::string_view bytes, size_t begin) : bytes_(bytes), at_(begin) {}

  template <typename Value>
  bool Take(uint64_t count, absl::Span<const Value>* values) {
    if (count > (bytes_.size() - at_) / sizeof(Value)) {
      return false;
    }
    *values = absl::MakeConstSpan(reinterpret_cast<const Value*>(bytes_.data() + at_), count);
    const size_t end = at_ + count * sizeof(Value);
    const size_t padded = (end + 7) / 8 * 8;
    if (padded > bytes_.size() || bytes_.substr(end, padded - end).find_first_not_of('\0') != absl::string_view::npos) {
      return false;
    }
    at_ = padded;
    return true;
  }
  bool done() const { return at_ == bytes_.size(); }

 private:
  const absl::string_view bytes_;
  size_t at_;
};

// From 0 to `end`, never falling.
bool AreOffsets(absl::Span<const uint64_t> offsets, uint64_t end) {
  return offsets.front() == 0 && offsets.back() == end && std::is_sorted(offsets.begin(), offsets.end());
}

bool AllBelow(absl::Span<const uint32_t> values, uint64_t bound) {
  return std::all_of(values.begin(), values.end(), [bound](uint32_t value) { return value < bound; });
}

}  // namespace

std::string EncodeSessions(const SessionIndex& sessions) {
  FlatHeader header{};
  std::memcpy(header.magic, kSessionsMagic.data(), sizeof(header.magic));
  header.version = kFlatVersion;
  header.count = sessions.items();
  header.entries = sessions.sessions();
  const SessionCounts counts{sessions.session_items.size(), sessions.item_sessions.size()};
  std::string bytes(sizeof(header) + sizeof(counts), '\0');
  std::memcpy(bytes.data(), &header, sizeof(header));
  std::memcpy(bytes.data() + sizeof(header), &counts, sizeof(counts));
  AppendArray(sessions.session_offsets, &bytes);
  AppendArray(sessions.session_times_unix_ms, &bytes);
  AppendArray(sessions.item_offsets, &bytes);
  AppendArray(sessions.session_items, &bytes);
  AppendArray(sessions.item_sessions, &bytes);
  AppendArray(sessions.item_counts, &bytes);
  return bytes;
}

absl::StatusOr<SessionIndex> ParseSessionsFile(absl::string_view bytes) {
  TRIBUTARY_ASSIGN_OR_RETURN(const FlatHeader header, ParseHeader(bytes, kSessionsMagic));
  SessionCounts counts;
  if (header.entries > std::numeric_limits<uint32_t>::max()) {
    return Damaged("sessions out of range", offsetof(FlatHeader, entries));
  }
  if (bytes.size() < sizeof(header) + sizeof(counts)) {
    return Damaged("counts cut short", bytes.size());
  }
  std::memcpy(&counts, bytes.data() + sizeof(header), sizeof(counts));
  SessionIndex sessions;
  ArrayReader reader(bytes, sizeof(header) + sizeof(counts));
  if (!reader.Take(header.entries + 1, &sessions.session_offsets) ||
      !reader.Take(header.entries, &sessions.session_times_unix_ms) ||
      !reader.Take(uint64_t{header.count} + 1, &sessions.item_offsets) ||
      !reader.Take(counts.session_items, &sessions.session_items) ||
      !reader.Take(counts.item_sessions, &sessions.item_sessions) ||
      !reader.Take(header.count, &sessions.item_counts) || !reader.done()) {
    return Damaged("arrays do not fill the file", sizeof(header));
  }
  if (!AreOffsets(sessions.session_offsets, counts.session_items) ||
      !AreOffsets(sessions.item_offsets, counts.item_sessions)) {
    return Damaged("offsets out of order", sizeof(header) + sizeof(counts));
  }
  if (!AllBelow(sessions.session_items, header.count) || !AllBelow(sessions.item_sessions, header.entries)) {
    return Damaged("number of an item or of a session out of range", sizeof(header) + sizeof(counts));
  }
  return sessions;
}

struct PartDigest::State {
  XXH3_state_t* hash = XXH3_createState();
  uint64_t pairs = 0;

  State() { XXH3_128bits_reset(hash); }
  ~State() { XXH3_freeState(hash); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  void AddSized(absl::string_view bytes) {
    const auto size = static_cast<uint32_t>(bytes.size());
    XXH3_128bits_update(hash, &size, sizeof(size));
    XXH3_128bits_update(hash, bytes.data(), bytes.size());
  }
};

PartDigest::PartDigest() : state_(std::make_unique<State>()) {}
PartDigest::~PartDigest() = default;
PartDigest::PartDigest(PartDigest&&) noexcept = default;
PartDigest& PartDigest::operator=(PartDigest&&) noexcept = default;

void PartDigest::AddPair(absl::string_view key, absl::string_view value) {
  state_->AddSized(key);
  state_->AddSized(value);
  ++state_->pairs;
}

void PartDigest::AddBytes(absl::string_view bytes) {
  XXH3_128bits_update(state_->hash, bytes.data(), bytes.size());
  state_->pairs = 1;
}

std::string PartDigest::Line(absl::string_view name) const {
  return absl::StrCat(name, " ", state_->pairs, " ", Hex(XXH3_128bits_digest(state_->hash)), "\n");
}

std::string ContentDigest(absl::Span<const std::string> lines) {
  std::string text;
  for (const std::string& line : lines) {
    text += line;
  }
  return Hex(XXH3_128bits(text.data(), text.size()));
}

}  // namespace tributary::snapshot_format
