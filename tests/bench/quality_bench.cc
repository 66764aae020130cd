// Top-N quality of what a batch run makes of Gowalla and ML-1M (the split of LCFN), beside popularity, item-kNN, EASE
// and the models of the blend alone, all learned in this run from the train part. Every setting, the blend's weight
// among them, was chosen on a validation slice of the train part (--print-validation, which opens no test part; a fifth
// of what 10,000 users did); the evaluator opens the test part after the lists are made. --smoke takes small synthetic
// data.
//
// clang-format off
// NDCG@20 on the slice, the chosen line marked. Gowalla, iALS with d = 1,024 and 5 epochs, GF-CF with 1,000 links:
//   unobserved, regularization | iALS  || GF-CF dimensions, weight | GF-CF
//   .007  .0025                | .1434 ||   256  .3                | .1387
//   .007  .0035                | .1448 ||   256  .2                | .1394
//   .01   .0025                | .1454 ||   256  .5                | .1347
//   .01   .0035                | .1463 ||   128  .3                | .1346
//   .01   .005                 | .1453 ||   512  .3                | .1419
//   .015  .0025                | .1476 ||   512  .2                | .1416
//   .015  .0035                | .1478 ||   768  .3                | .1435
//   .015  .005                 | .1441 ||   768  .4                | .1429
//   .015  .008                 | .1310 ||  1024  .3                | .1438
//   .02   .005                 | .1412 ||  1024  .25               | .1439 *
//   .02   .003                 | .1486 *
// ML-1M, iALS with d = 256 and 16 epochs:
//   .1    .01                  | .2643 || EASE 400                 | .2608
//   .2    .007                 | .2575 || EASE 600                 | .2636
//   .2    .01                  | .2730 || EASE 1,000               | .2656
//   .2    .014                 | .2667 || GF-CF 256  .3            | .2508
//   .25   .01                  | .2737 * GF-CF 256  .5             | .2502
//   .3    .01                  | .2732 || GF-CF 128  .5            | .2632
//   .3    .014                 | .2530 || GF-CF 128  .7            | .2637 *
//   .2    .01   d = 128        | .2717 || GF-CF 128  1             | .2634
//   .2    .01   d = 512        | .2734 || GF-CF  64  1             | .2658
// Blends: .1540 on Gowalla; on ML-1M .2770 with GF-CF 128 .7, .2765 with 64 1, .2739 at best with EASE.
// clang-format on
#include <glog/logging.h>
#include <google/protobuf/text_format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "batch_layer/learning/learn.h"
#include "batch_layer/models/blend.h"
#include "batch_layer/models/item_neighbours.h"
#include "common/config/config.h"
#include "tests/bench/report.h"
#include "tests/bench/top_n_split.h"

namespace tributary::bench {
namespace {

using batch::Blend;
using batch::InteractionMatrix;
using batch::ItemItemModel;
using batch::Learned;
using Lists = std::vector<std::vector<ScoredItem>>;

struct Settings {
  std::string metric;            // Its metrics are quality/METRIC_recall_at_20 and so on.
  std::string set;               // Folder below TRIBUTARY_DATA.
  v1::BatchConfig config;
};

struct Candidate {
  std::string name;
  Lists lists;
};

Settings Of(const std::string& metric, int threads) {
  Settings settings{metric, metric == "gowalla" ? "gowalla" : "ml-1m-lcfn", DefaultConfig().batch()};
  v1::BatchConfig& config = settings.config;
  config.set_threads(threads);
  if (metric == "gowalla") {
    config.mutable_ials()->set_dimensions(1024);
    config.mutable_ials()->set_epochs(5);
    config.mutable_ials()->set_unobserved_weight(0.02);
    config.mutable_ials()->set_regularization(0.003);
    config.mutable_item_item()->set_links(1000);
    config.mutable_item_item()->set_low_pass_dimensions(1024);
    config.mutable_item_item()->set_low_pass_weight(0.25);
  } else {
    config.mutable_ials()->set_dimensions(256);
    config.mutable_ials()->set_epochs(16);
    config.mutable_ials()->set_unobserved_weight(0.25);
    config.mutable_ials()->set_regularization(0.01);
    config.mutable_item_item()->set_links(3000);
    config.mutable_item_item()->set_ease_items_at_most(0);
    config.mutable_item_item()->set_low_pass_dimensions(128);
    config.mutable_item_item()->set_low_pass_weight(0.7);
  }
  config.mutable_item_item()->set_ease_regularization(1000);  // Of the EASE beside.
  config.mutable_blend()->set_validation_users(10'000);
  return settings;
}

std::vector<batch::Observation> ObservationsOf(const Part& train) {
  std::vector<batch::Observation> observations;
  for (uint32_t user = 0; user < train.users; ++user) {
    for (const uint32_t item : train.items_of[user]) {
      observations.push_back({{user, item}, 0});
    }
  }
  return observations;
}

void PrintValidation(const Learned& learned) {
  for (const v1::QualityMetric& metric : learned.metrics) {
    std::cerr << absl::StrFormat(
        "validation: %-12s %-24s %.4f\n",
        metric.model().empty() ? absl::StrFormat("blend at %.1f", learned.ials_weight) : metric.model(), metric.name(),
        metric.value());
  }
}

std::vector<uint32_t> AllUsers(const InteractionMatrix& matrix) {
  std::vector<uint32_t> users(matrix.rows());
  std::iota(users.begin(), users.end(), 0);
  return users;
}

// Item-kNN: cosine, 100 neighbours.
ItemItemModel ItemKnn(const InteractionMatrix& matrix, int threads) {
  batch::NeighbourOptions options;
  options.k = 100;
  options.weighting = batch::NeighbourWeighting::kCosine;
  options.threads = threads;
  std::vector<std::vector<batch::SparseRows::Entry>> rows(matrix.items());
  const auto neighbours = batch::ItemNeighbours(matrix, options).Compute(0, matrix.items());
  for (uint32_t item = 0; item < matrix.items(); ++item) {
    for (const ScoredItem& other : neighbours[item]) {
      rows[item].push_back({Value(other.item), other.score});
    }
  }
  return {batch::SparseRows(matrix.items(), std::move(rows)), Factors(matrix.items(), 0), Factors(matrix.items(), 0)};
}

// What is recommended to each user, by model; ours first. EASE is beside catalogues of up to `ease_items`.
std::vector<Candidate> Recommend(const Part& train, uint32_t items, const v1::BatchConfig& config,
                                 uint32_t ease_items) {
  const absl::Time begin = absl::Now();
  const auto all = batch::Learn(ObservationsOf(train), train.users, items, config, /*world=*/nullptr);
  CHECK(all.ok()) << all.status();
  const Learned& learned = *all;
  const absl::Duration learning = absl::Now() - begin;
  const std::vector<uint32_t> users = AllUsers(learned.matrix);
  const auto top = [&](const ItemItemModel& item_item, double ials_weight) {
    return Blend(learned.matrix, learned.ials, item_item)
        .TopN(users, static_cast<float>(ials_weight), kListLength, /*exclude_own=*/true, config.threads());
  };
  std::vector<Candidate> candidates;
  candidates.push_back({absl::StrFormat("blend, %.1f iALS", learned.ials_weight),
                        top(learned.item_item, learned.ials_weight)});
  std::cerr << absl::StrFormat("learned in %.1f s, lists in %.1f s\n", absl::ToDoubleSeconds(learning),
                               absl::ToDoubleSeconds(absl::Now() - begin - learning));
  PrintValidation(learned);
  candidates.push_back({"iALS", top(learned.item_item, 1)});
  candidates.push_back({learned.item_item_name, top(learned.item_item, 0)});
  if (learned.item_item_name != "ease" && items <= ease_items) {
    const batch::EaseOptions options{.regularization = static_cast<float>(config.item_item().ease_regularization()),
                                     .links = static_cast<uint32_t>(config.item_item().links()),
                                     .threads = config.threads()};
    candidates.push_back({"ease", top(batch::TrainEase(learned.matrix, options), 0)});
  }
  candidates.push_back({"item-kNN", top(ItemKnn(learned.matrix, config.threads()), 0)});
  Factors one(learned.matrix.rows(), 1), counts(items, 1);
  std::fill(one.data(), one.data() + one.rows(), 1.0f);
  for (uint32_t item = 0; item < items; ++item) {
    counts.row(item)[0] = static_cast<float>(learned.matrix.by_item().row(item).size());
  }
  candidates.push_back({"popularity", batch::ScoreTopN(one, 0, one.rows(), counts,
                                                       {.n = kListLength,
                                                        .excluded = &learned.matrix.by_row(),
                                                        .threads = config.threads()})});
  return candidates;
}

void Judge(const std::string& metric, const Part& train, const Part& test, const std::vector<Candidate>& candidates,
           Report* report) {
  const InteractionMatrix matrix = MatrixOf(train, test);
  std::vector<batch::RankingMetrics> metrics;
  for (const Candidate& candidate : candidates) {
    metrics.push_back(Evaluate(candidate.lists, matrix, test));
    const batch::RankingMetrics& m = metrics.back();
    std::cerr << absl::StrFormat(
        "%s test: %-16s Recall@20 %.4f (of min(20, n): %.4f) NDCG@20 %.4f HR %.4f MRR %.4f coverage %.3f novelty %.2f\n",
        metric, candidate.name, m.recall, m.truncated_recall, m.ndcg, m.hit_rate, m.mrr, m.coverage, m.novelty);
  }
  for (size_t i = 1; i < candidates.size(); ++i) {
    if (candidates[i].name != "iALS") {
      report->Add(absl::StrCat("quality/", metric, "_recall_at_20"), metrics[0].recall, "ratio", candidates[i].name,
                  metrics[i].recall);
      report->Add(absl::StrCat("quality/", metric, "_ndcg_at_20"), metrics[0].ndcg, "ratio", candidates[i].name,
                  metrics[i].ndcg);
    }
  }
}

}  // namespace
}  // namespace tributary::bench

int main(int argc, char** argv) {
  using tributary::bench::Part;
  google::InitGoogleLogging(argv[0]);
  std::vector<std::string> sets = {"gowalla", "ml1m"};
  int threads = 2;
  std::vector<std::string> overrides;
  uint32_t ease_items = 50'000;
  bool smoke = false;
  bool validation_only = false;
  CLI::App app("Top-N quality of a batch run's lists.");
  app.add_option("--sets", sets, "Of gowalla, ml1m")->capture_default_str();
  app.add_option("--ease-items", ease_items,
                 "EASE is learned beside ours for so many items at most: 4 n^2 bytes, n^3 operations")
      ->capture_default_str();
  app.add_option("--threads", threads)->capture_default_str();
  app.add_option("--set", overrides, "Text-format snippet laid over the batch configuration of all sets");
  app.add_flag("--print-validation", validation_only, "Only what the validation slice says; opens no test part");
  app.add_flag("--smoke", smoke, "A short run on synthetic data");
  CLI11_PARSE(app, argc, argv);
  tributary::bench::Report report("quality");
  if (smoke) {
    auto settings = tributary::bench::Of("synthetic", threads);
    settings.config.mutable_ials()->set_dimensions(16);
    const auto [train, test] = tributary::bench::SyntheticParts();
    const auto candidates =
        tributary::bench::Recommend(train, std::max(train.items, test.items), settings.config, ease_items);
    tributary::bench::Judge("synthetic", train, test, candidates, &report);
    return 0;
  }
  for (const std::string& set : sets) {
    auto settings = tributary::bench::Of(set, threads);
    for (const std::string& snippet : overrides) {
      CHECK(google::protobuf::TextFormat::MergeFromString(snippet, &settings.config)) << snippet;
    }
    const Part train = tributary::bench::ReadPart(settings.set, "train");
    if (validation_only) {
      const auto learned = tributary::batch::LearnForValidation(tributary::bench::ObservationsOf(train), train.users,
                                                                train.items, settings.config, /*world=*/nullptr);
      CHECK(learned.ok()) << learned.status();
      tributary::bench::PrintValidation(*learned);
      continue;
    }
    const auto candidates = tributary::bench::Recommend(train, train.items, settings.config, ease_items);
    tributary::bench::Judge(set, train, tributary::bench::ReadPart(settings.set, "test"), candidates, &report);
  }
  return 0;
}
