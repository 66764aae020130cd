// The time of an epoch of exact iALS and of everybody's list of 100 items: beside a peer, which is implicit (PyPI; its
// ALS is approximate, 3 conjugate-gradient steps) or Spark MLlib, the epoch also beside a plain Cholesky solution of
// every row (Eigen), whose factors ours must equal in what they recommend. Ours is the fastest epoch of several, and so
// is implicit's.
// --smoke takes small synthetic data and no peer.
#include <glog/logging.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "batch_layer/models/ials.h"
#include "batch_layer/models/top_n.h"
#include "tests/bench/cholesky_ials.h"
#include "tests/bench/report.h"
#include "tests/bench/top_n_split.h"

namespace tributary::bench {
namespace {

using batch::IalsModel;
using batch::IalsOptions;
using batch::InteractionMatrix;
using batch::RankingMetrics;

struct Options {
  std::string set = "gowalla";
  std::string peer;  // Command that runs peers/implicit_als.py or one that is called like it; empty: no peer.
  std::string peer_name = "implicit";
  std::vector<int> dimensions = {128, 256, 512};
  int cholesky_dimensions = 512;
  int lists_dimensions = 256;
  int epochs = 5;
  int threads = 2;
};

template <typename Work>
double Seconds(const Work& work) {
  const absl::Time begin = absl::Now();
  work();
  return absl::ToDoubleSeconds(absl::Now() - begin);
}

RankingMetrics Quality(const InteractionMatrix& train, const Part& test, const IalsModel& model, int threads) {
  return Evaluate(batch::ScoreTopN(model.users, 0, train.rows(), model.items,
                            {.n = kListLength, .excluded = &train.by_row(), .threads = threads}),
                  train, test);
}

void Say(const std::string& who, const RankingMetrics& quality) {
  std::cerr << absl::StrFormat("%s: Recall@20 %.5f NDCG@20 %.5f\n", who, quality.recall, quality.ndcg);
}

struct PeerSeconds {
  double epoch = 0;
  double lists = 0;             // 100 items for all users.
};

// Its factors go into `model`.
PeerSeconds RunPeer(const Options& options, int dimensions, IalsModel* model) {
  const std::string factors = absl::StrCat(std::filesystem::temp_directory_path().string(), "/peer-", getpid());
  const std::string command = absl::StrCat(
      "OPENBLAS_NUM_THREADS=1 ", options.peer, " ", std::getenv("TRIBUTARY_DATA"), "/", options.set,
      "/train.txt.zst ", dimensions, " ", options.epochs, " ", options.threads, " ", factors);
  FILE* const pipe = popen(command.c_str(), "r");
  CHECK(pipe != nullptr) << command;
  PeerSeconds seconds;
  const int read = std::fscanf(pipe, "%lf %lf", &seconds.epoch, &seconds.lists);
  CHECK(pclose(pipe) == 0 && read == 2) << command;
  std::ifstream file(factors, std::ios::binary);
  for (Factors* side : {&model->users, &model->items}) {
    file.read(reinterpret_cast<char*>(side->data()),
              static_cast<std::streamsize>(sizeof(float) * side->rows() * static_cast<size_t>(side->dimensions())));
  }
  CHECK(file) << factors;
  std::filesystem::remove(factors);
  return seconds;
}

void Run(const Options& options, const Part& train_part, const Part& test) {
  const InteractionMatrix train = MatrixOf(train_part, test);
  Report report("training");
  for (const int dimensions : options.dimensions) {
    const IalsOptions ials{.dimensions = dimensions,
                           .epochs = options.epochs,
                           .loss = {.unobserved_weight = 0.015f, .regularization = 0.005f},
                           .threads = options.threads};
    auto model = batch::StartIals(train, ials);
    CHECK(model.ok()) << model.status();
    double epoch = std::numeric_limits<double>::infinity();
    for (int i = 0; i < options.epochs; ++i) {
      epoch = std::min(epoch, Seconds([&] { CHECK(RunIalsEpoch(train, ials, &*model).ok()); }));
    }
    Say(absl::StrCat("exact iALS, d = ", dimensions), Quality(train, test, *model, options.threads));
    PeerSeconds peer;
    const std::string peer_name = options.peer.empty() ? "" : options.peer_name;
    if (!options.peer.empty()) {
      IalsModel theirs = *model;
      peer = RunPeer(options, dimensions, &theirs);
      Say(absl::StrCat(peer_name, ", d = ", dimensions), Quality(train, test, theirs, options.threads));
    }
    report.Add(absl::StrCat("training/ials_epoch_d", dimensions, "_s"), epoch, "s", peer_name, peer.epoch);
    if (dimensions == options.lists_dimensions) {
      const double lists = Seconds([&] {
        batch::ScoreTopN(model->users, 0, train.rows(), model->items,
                         {.n = 100, .excluded = &train.by_row(), .threads = options.threads});
      });
      report.Add(absl::StrCat("training/top100_lists_d", dimensions, "_s"), lists, "s", peer_name, peer.lists);
    }
    if (dimensions == options.cholesky_dimensions) {
      IalsModel plain = *model;
      const double plain_epoch = Seconds([&] { RunCholeskyEpoch(train, ials, &plain); });
      CHECK(RunIalsEpoch(train, ials, &*model).ok());
      const RankingMetrics ours = Quality(train, test, *model, options.threads);
      const RankingMetrics theirs = Quality(train, test, plain, options.threads);
      Say("the same epoch by exact iALS", ours);
      Say("the same epoch by plain Cholesky", theirs);
      CHECK_LT(std::abs(ours.recall - theirs.recall), 1e-4);
      CHECK_LT(std::abs(ours.ndcg - theirs.ndcg), 1e-4);
      report.Add(absl::StrCat("training/ials_d", dimensions, "_speedup_over_cholesky"), plain_epoch / epoch, "ratio");
    }
  }
}

}  // namespace
}  // namespace tributary::bench

int main(int argc, char** argv) {
  google::InitGoogleLogging(argv[0]);
  tributary::bench::Options options;
  bool smoke = false;
  CLI::App app("The time of an epoch of exact iALS, beside a peer and a plain Cholesky.");
  app.add_option("--set", options.set, "Folder below TRIBUTARY_DATA")->capture_default_str();
  app.add_option("--peer", options.peer,
                 "Command that runs peers/implicit_als.py or one that is called like it; unset: no peer");
  app.add_option("--peer-name", options.peer_name)->capture_default_str();
  app.add_option("--dimensions", options.dimensions)->capture_default_str();
  app.add_option("--cholesky-dimensions", options.cholesky_dimensions, "Which of them plain Cholesky runs with; 0: none")
      ->capture_default_str();
  app.add_option("--lists-dimensions", options.lists_dimensions,
                 "Which of them lists of 100 items for all users are made with; 0: none")
      ->capture_default_str();
  app.add_option("--epochs", options.epochs)->capture_default_str();
  app.add_option("--threads", options.threads)->capture_default_str();
  app.add_flag("--smoke", smoke, "A short run on synthetic data");
  CLI11_PARSE(app, argc, argv);
  if (smoke) {
    options.dimensions = {16, 32};
    options.cholesky_dimensions = 32;
    options.lists_dimensions = 16;
    options.epochs = 2;
    options.peer.clear();
    const auto [train, test] = tributary::bench::SyntheticParts();
    tributary::bench::Run(options, train, test);
  } else {
    const tributary::bench::Part train = tributary::bench::ReadPart(options.set, "train");
    tributary::bench::Run(options, train, tributary::bench::ReadPart(options.set, "test"));
  }
  return 0;
}
