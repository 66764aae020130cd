#include <algorithm>
#include <cstring>

#include <glog/logging.h>

#include "batch_layer/import/record_reader.h"
#include "tests/fuzz/fuzz_target.h"

// Any bytes as a file to import, once as CSV and once as JSON lines, in pieces as a pipe gives them: a row has a value for
// each column asked for, and what cannot be read says why; the readers end whatever comes.
namespace tributary::fuzz {
namespace {

const std::vector<std::string> kColumns = {"user", "item", "price"};

class Pieces final : public batch::ByteSource {
 public:
  explicit Pieces(absl::string_view bytes) : rest_(bytes) {}
  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    const size_t size = std::min({rest_.size(), buffer.size(), size_t{1} + rest_.size() % 7});
    std::memcpy(buffer.data(), rest_.data(), size);
    rest_.remove_prefix(size);
    return size;
  }

 private:
  absl::string_view rest_;
};

batch::RowVisitor CheckedRows() {
  return {.row =
              [line = int64_t{0}](const batch::Row& row) mutable {
                CHECK_GT(row.line, line);
                line = row.line;
                CHECK_EQ(row.values.size(), kColumns.size());
                size_t bytes = 0;
                for (const absl::string_view value : row.values) bytes += value.size();
                CHECK_GE(row.raw().size() + 2, bytes == 0 ? 0 : size_t{2});
                return absl::OkStatus();
              },
          .unreadable =
              [](const batch::UnreadableRow& row) {
                CHECK_GT(row.line, 0);
                CHECK(!row.reason.empty());
                return absl::OkStatus();
              }};
}

void CheckEnd(const absl::Status& status) { CHECK(status.ok() || absl::IsInvalidArgument(status)) << status; }

}  // namespace

std::vector<std::string> FuzzSeeds() {
  return {"user,item,price\nann,tea,1.5\nbob,\"a \"\"big\"\" cup,\nof tea\",2\n",
          "price;user,item\n,ann,tea\n1,2,3,4\n\n,,\n",
          "item,price,user\r\ntea,,ann\r\n\"open",
          "{\"user\": \"ann\", \"item\": \"tea\", \"price\": 1.5}\n{\"user\": null, \"item\": 7, \"price\": true}\n",
          "{\"user\": [1], \"item\": {}}\n[]\n\n{\"user\": 9007199254740993}\n{\"item\": \"t\\u00e9\\ud83d\\ude00\"}"};
}

}  // namespace tributary::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary;
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  fuzz::Pieces csv(bytes);
  fuzz::CheckEnd(batch::ReadCsv(csv, {}, fuzz::kColumns, fuzz::CheckedRows()));
  fuzz::Pieces json(bytes);
  fuzz::CheckEnd(batch::ReadJsonLines(json, fuzz::kColumns, fuzz::CheckedRows()));
  return 0;
}
