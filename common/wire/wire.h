#ifndef TRIBUTARY_COMMON_WIRE_WIRE_H_
#define TRIBUTARY_COMMON_WIRE_WIRE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include "absl/strings/string_view.h"

// Fields of a protobuf message straight to and from its bytes, for the few messages that are made or read in such
// numbers that building the message object first is what they cost. What is written is what protobuf writes: fields
// that have their default value are left out. Field numbers up to 15, whose tag is one byte.
namespace tributary::wire {

using google::protobuf::internal::WireFormatLite;

constexpr char VarintTag(int field) { return static_cast<char>(field << 3 | WireFormatLite::WIRETYPE_VARINT); }
constexpr char LengthTag(int field) {
  return static_cast<char>(field << 3 | WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
}
constexpr char Fixed64Tag(int field) { return static_cast<char>(field << 3 | WireFormatLite::WIRETYPE_FIXED64); }

// ---- writing --------------------------------------------------------------------------------------------------------

// To where there is room for it; these answer where they ended.
inline char* WriteVarint(uint64_t value, char* to) {
  while (value >= 128) {
    *to++ = static_cast<char>(value | 128);
    value >>= 7;
  }
  *to++ = static_cast<char>(value);
  return to;
}

inline char* WriteFixed64(uint64_t value, char* to) {
  using google::protobuf::io::CodedOutputStream;
  return reinterpret_cast<char*>(CodedOutputStream::WriteLittleEndian64ToArray(value, reinterpret_cast<uint8_t*>(to)));
}

inline char* WriteInt(int field, int64_t value, char* to) {
  if (value == 0) return to;
  *to++ = VarintTag(field);
  return WriteVarint(static_cast<uint64_t>(value), to);
}

// Of a field whose content of so many bytes is written next.
inline char* WriteLength(int field, size_t bytes, char* to) {
  *to++ = LengthTag(field);
  return WriteVarint(bytes, to);
}

inline char* WriteText(int field, absl::string_view text, char* to) {
  if (text.empty()) return to;
  to = WriteLength(field, text.size(), to);
  return text.copy(to, text.size()) + to;
}

// How many bytes these write.
inline size_t VarintBytes(uint64_t value) { return google::protobuf::io::CodedOutputStream::VarintSize64(value); }
inline size_t IntBytes(int64_t value) { return value == 0 ? 0 : 1 + VarintBytes(static_cast<uint64_t>(value)); }
inline size_t LengthBytes(size_t bytes) { return 1 + VarintBytes(bytes); }
inline size_t TextBytes(absl::string_view text) { return text.empty() ? 0 : LengthBytes(text.size()) + text.size(); }

// Room for `bytes` more at the end: where it begins.
inline char* Extend(std::string* to, size_t bytes) {
  to->resize(to->size() + bytes);
  return to->data() + to->size() - bytes;
}

// ---- reading --------------------------------------------------------------------------------------------------------

// Takes bytes from the front. Every read answers false at the end or for what is malformed, and is then of no more use.
class Reader {
 public:
  explicit Reader(absl::string_view bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool done() const { return at_ == end_; }
  size_t left() const { return static_cast<size_t>(end_ - at_); }
  bool ReadByte(char* byte) {
    if (at_ == end_) return false;
    *byte = *at_++;
    return true;
  }
  bool ReadVarint(uint64_t* value) {
    *value = 0;
    for (int shift = 0; shift < 70 && at_ != end_; shift += 7) {
      const auto byte = static_cast<uint8_t>(*at_++);
      *value |= static_cast<uint64_t>(byte & 127) << shift;
      if (byte < 128) return true;
    }
    return false;
  }
  bool ReadInt64(int64_t* value) {
    uint64_t bits = 0;
    if (!ReadVarint(&bits)) return false;
    *value = static_cast<int64_t>(bits);
    return true;
  }
  bool ReadFixed64(uint64_t* value) {
    if (end_ - at_ < 8) return false;
    google::protobuf::io::CodedInputStream::ReadLittleEndian64FromArray(reinterpret_cast<const uint8_t*>(at_), value);
    at_ += 8;
    return true;
  }
  bool ReadText(absl::string_view* text) {
    uint64_t size = 0;
    if (!ReadVarint(&size) || size > static_cast<uint64_t>(end_ - at_)) return false;
    *text = absl::string_view(at_, static_cast<size_t>(size));
    at_ += size;
    return true;
  }

 private:
  const char* at_;
  const char* end_;
};

}  // namespace tributary::wire

#endif  // TRIBUTARY_COMMON_WIRE_WIRE_H_
