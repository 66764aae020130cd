#include "tests/bench/top_n_split.h"

#include <glog/logging.h>
#include <zstd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <sstream>
#include <utility>

#include "absl/strings/match.h"
#include "tests/batch_layer/models/synthetic.h"

namespace tributary::bench {
namespace {

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::cerr << "data file not readable: " << path << std::endl;
    std::exit(2);
  }
  const std::string packed{std::istreambuf_iterator<char>(file), {}};
  if (!absl::EndsWith(path, ".zst")) {
    return packed;
  }
  const std::unique_ptr<ZSTD_DStream, size_t (*)(ZSTD_DStream*)> stream(ZSTD_createDStream(), ZSTD_freeDStream);
  ZSTD_inBuffer in{packed.data(), packed.size(), 0};
  std::string text;
  std::string chunk(ZSTD_DStreamOutSize(), '\0');
  while (in.pos < in.size) {
    ZSTD_outBuffer out{chunk.data(), chunk.size(), 0};
    const size_t result = ZSTD_decompressStream(stream.get(), &out, &in);
    CHECK(!ZSTD_isError(result)) << "data file not zstd: path=" << path << " error=" << ZSTD_getErrorName(result);
    text.append(chunk, 0, out.pos);
  }
  return text;
}

void Put(uint32_t user, uint32_t item, Part* part) {
  part->users = std::max(part->users, user + 1);
  part->items = std::max(part->items, item + 1);
  part->items_of.resize(part->users);
  part->items_of[user].push_back(item);
}

void Sort(Part* part) {
  for (std::vector<uint32_t>& items : part->items_of) {
    std::sort(items.begin(), items.end());
    items.erase(std::unique(items.begin(), items.end()), items.end());
  }
}

}  // namespace

std::string ReadData(const std::string& path) {
  const char* const data = std::getenv("TRIBUTARY_DATA");
  if (data == nullptr) {
    std::cerr << "TRIBUTARY_DATA is not set; wanted there: " << path << std::endl;
    std::exit(2);
  }
  return ReadFile(std::string(data) + "/" + path);
}

Part ReadPart(const std::string& set, const std::string& part) {
  std::istringstream lines(ReadData(set + "/" + part + ".txt.zst"));
  Part read;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream numbers(line);
    uint32_t user = 0, item = 0;
    for (numbers >> user; numbers >> item;) {
      Put(user, item, &read);
    }
  }
  Sort(&read);
  return read;
}

std::pair<Part, Part> SyntheticParts() {
  const batch::synthetic::Clustered data = batch::synthetic::Clusters(600, 400, /*clusters=*/10, /*seed=*/1);
  Part train, test;
  for (const batch::Interaction& x : data.train) {
    Put(x.row, x.item, &train);
  }
  for (uint32_t user = 0; user < data.held_out.size(); ++user) {
    for (const uint32_t item : data.held_out[user]) {
      Put(user, item, &test);
    }
  }
  Sort(&train);
  Sort(&test);
  return {train, test};
}

batch::InteractionMatrix MatrixOf(const Part& part, const Part& other) {
  std::vector<batch::Interaction> interactions;
  for (uint32_t user = 0; user < part.items_of.size(); ++user) {
    for (const uint32_t item : part.items_of[user]) {
      interactions.push_back({user, item});
    }
  }
  auto matrix = batch::InteractionMatrix::Create(std::max(part.users, other.users), std::max(part.items, other.items),
                                                 std::move(interactions));
  CHECK(matrix.ok()) << matrix.status();
  return *std::move(matrix);
}

batch::RankingMetrics Evaluate(const std::vector<std::vector<ScoredItem>>& lists, const batch::InteractionMatrix& train,
                               const Part& test) {
  batch::RankingEvaluation evaluation(kListLength, train.ItemUsers(), train.rows());
  for (size_t user = 0; user < lists.size(); ++user) {
    evaluation.Add(lists[user], user < test.items_of.size() ? absl::MakeConstSpan(test.items_of[user])
                                                            : absl::Span<const uint32_t>());
  }
  return evaluation.Means();
}

}  // namespace tributary::bench
