// Top-N quality of iALS and the time of an epoch, on a set in the form of ml-1m-lcfn and gowalla: train.txt.zst and
// test.txt.zst, a line a user, `user item item ...`. For each user all items outside the user's train line are ranked;
// Recall@20 = hits / number of test items, NDCG@20 binary with the ideal over min(20, number of test items), means over
// users with test items. --smoke takes small synthetic data instead. The defaults are the settings for ml-1m-lcfn.
#include <glog/logging.h>
#include <zstd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "batch_layer/models/ials.h"
#include "batch_layer/models/top_n.h"
#include "tests/batch_layer/models/synthetic.h"
#include "tests/bench/report.h"

namespace tributary::batch {
namespace {

constexpr size_t kListLength = 20;

struct Split {
  uint32_t users = 0;
  uint32_t items = 0;
  std::vector<Interaction> train;
  std::vector<std::vector<uint32_t>> test;   // By user.
};

std::string ReadZstd(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  CHECK(file) << "data file not readable: path=" << path;
  const std::string packed{std::istreambuf_iterator<char>(file), {}};
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

std::vector<Interaction> ReadLines(const std::string& path, Split* split) {
  std::istringstream lines(ReadZstd(path));
  std::vector<Interaction> interactions;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream numbers(line);
    Interaction x;
    for (numbers >> x.row; numbers >> x.item;) {
      interactions.push_back(x);
      split->users = std::max(split->users, x.row + 1);
      split->items = std::max(split->items, x.item + 1);
    }
  }
  return interactions;
}

Split ReadSplit(const std::string& set) {
  const char* data = std::getenv("TRIBUTARY_DATA");
  CHECK(data != nullptr) << "TRIBUTARY_DATA is not set: wanted=" << set;
  const std::string dir = std::string(data) + "/" + set;
  Split split;
  split.train = ReadLines(dir + "/train.txt.zst", &split);
  const std::vector<Interaction> test = ReadLines(dir + "/test.txt.zst", &split);
  split.test.resize(split.users);
  for (const Interaction& x : test) {
    split.test[x.row].push_back(x.item);
  }
  return split;
}

Split SyntheticSplit() {
  Split split{.users = 600, .items = 400};
  synthetic::Clustered data = synthetic::Clusters(split.users, split.items, /*clusters=*/10, /*seed=*/1);
  split.train = std::move(data.train);
  split.test = std::move(data.held_out);
  return split;
}

struct Quality {
  double recall = 0;
  double ndcg = 0;
};

Quality Evaluate(const std::vector<std::vector<ScoredItem>>& lists, const std::vector<std::vector<uint32_t>>& test) {
  Quality sum;
  double users = 0;
  for (size_t user = 0; user < lists.size(); ++user) {
    if (test[user].empty()) {
      continue;
    }
    double hits = 0;
    double gain = 0;
    double ideal = 0;
    for (size_t rank = 0; rank < kListLength; ++rank) {
      const double worth = 1 / std::log2(static_cast<double>(rank) + 2);
      ideal += rank < test[user].size() ? worth : 0;
      if (rank < lists[user].size() &&
          std::find(test[user].begin(), test[user].end(), Value(lists[user][rank].item)) != test[user].end()) {
        ++hits;
        gain += worth;
      }
    }
    sum.recall += hits / static_cast<double>(test[user].size());
    sum.ndcg += gain / ideal;
    ++users;
  }
  return {sum.recall / users, sum.ndcg / users};
}

void Run(const Split& split, const IalsOptions& options) {
  const auto matrix = InteractionMatrix::Create(split.users, split.items, split.train);
  CHECK(matrix.ok()) << matrix.status();
  auto model = StartIals(*matrix, options);
  CHECK(model.ok()) << model.status();
  const absl::Time start = absl::Now();
  for (int epoch = 0; epoch < options.epochs; ++epoch) {
    CHECK(RunIalsEpoch(*matrix, options, &*model).ok());
  }
  const double epoch_seconds = absl::ToDoubleSeconds(absl::Now() - start) / options.epochs;
  const TopNOptions top{.n = kListLength, .excluded = &matrix->by_row(), .threads = options.threads};
  const absl::Time scoring = absl::Now();
  const auto lists = ScoreTopN(model->users, 0, split.users, model->items, top);
  const double scoring_seconds = absl::ToDoubleSeconds(absl::Now() - scoring);

  Factors one(split.users, 1);
  std::fill(one.data(), one.data() + split.users, 1.0f);
  Factors counts(split.items, 1);
  for (uint32_t item = 0; item < split.items; ++item) {
    counts.row(item)[0] = static_cast<float>(matrix->by_item().row(item).size());
  }
  const Quality popular = Evaluate(ScoreTopN(one, 0, split.users, counts, top), split.test);
  const Quality ials = Evaluate(lists, split.test);
  bench::Report report("quality_ials");
  report.Add("quality/recall_at_20", ials.recall, "ratio", "popularity", popular.recall);
  report.Add("quality/ndcg_at_20", ials.ndcg, "ratio", "popularity", popular.ndcg);
  report.Add("quality/epoch_seconds", epoch_seconds, "s");
  report.Add("quality/scoring_seconds", scoring_seconds, "s");
}

}  // namespace
}  // namespace tributary::batch

int main(int argc, char** argv) {
  google::InitGoogleLogging(argv[0]);
  tributary::batch::IalsOptions options{
      .dimensions = 256, .epochs = 16, .unobserved_weight = 0.2f, .regularization = 0.01f, .threads = 2};
  std::string set = "ml-1m-lcfn";
  bool smoke = false;
  CLI::App app("Top-N quality of iALS and the time of an epoch.");
  app.add_option("--set", set, "Folder of train.txt.zst and test.txt.zst below TRIBUTARY_DATA")->capture_default_str();
  app.add_option("--dimensions", options.dimensions)->capture_default_str();
  app.add_option("--epochs", options.epochs)->capture_default_str();
  app.add_option("--unobserved-weight", options.unobserved_weight)->capture_default_str();
  app.add_option("--regularization", options.regularization)->capture_default_str();
  app.add_option("--seed", options.seed)->capture_default_str();
  app.add_option("--threads", options.threads)->capture_default_str();
  app.add_flag("--smoke", smoke, "A short run on synthetic data");
  CLI11_PARSE(app, argc, argv);
  if (smoke) {
    options.dimensions = 16;
    options.epochs = 4;
    tributary::batch::Run(tributary::batch::SyntheticSplit(), options);
  } else {
    tributary::batch::Run(tributary::batch::ReadSplit(set), options);
  }
  return 0;
}
