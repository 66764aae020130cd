// What folding a user in costs at serving: the list of 100 of a user with 30 items, from factors of 64 dimensions, whose
// lengths are spread as popularity spreads them. Peer: the same solution of the row, and a pass over all items in fp32.
// Physical limit: how long one core takes to read the compact form, at the rate at which it reads the fp32 form from where
// that lies (caches or memory) doing nothing else.
#include <glog/logging.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iostream>
#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/dense/dense.h"
#include "common/dense/top_items.h"
#include "common/ials/fold_in.h"
#include "tests/bench/report.h"

namespace tributary::bench {
namespace {

constexpr int kDimensions = 64;
constexpr size_t kListLength = 100;
constexpr size_t kHistory = 30;

// Median of an odd number of turns.
template <typename Work>
double Microseconds(int turns, Work work) {
  std::vector<double> times;
  for (int i = 0; i < turns; ++i) {
    const absl::Time begin = absl::Now();
    work(i);
    times.push_back(absl::ToDoubleMicroseconds(absl::Now() - begin));
  }
  std::nth_element(times.begin(), times.begin() + turns / 2, times.end());
  return times[static_cast<size_t>(turns) / 2];
}

uint64_t Read(const Factors& factors) {
  const size_t words = factors.rows() * size_t{kDimensions} / 2;
  const auto* const data = reinterpret_cast<const char*>(factors.data());
  uint64_t sums[32] = {};
  for (size_t i = 0; i + 32 <= words; i += 32) {
    uint64_t block[32];
    std::memcpy(block, data + i * sizeof(uint64_t), sizeof(block));
    for (size_t k = 0; k < 32; ++k) sums[k] += block[k];
  }
  uint64_t sum = 0;
  for (const uint64_t part : sums) sum += part;
  return sum;
}

void Run(uint32_t items, int turns, Report* report) {
  std::mt19937_64 random(3);
  std::normal_distribution<float> normal;
  Factors factors(items, kDimensions);
  for (uint32_t i = 0; i < items; ++i) {
    const float length = 0.1f + std::exp(normal(random) - 2);
    for (float& value : factors.row(i)) value = length * normal(random);
  }
  const std::vector<float> eigenvalues(kDimensions, static_cast<float>(items) / 50);
  const IalsLoss loss;
  const absl::Time begin = absl::Now();
  const IalsFoldIn fold_in(factors, eigenvalues, loss);
  const double load_ms = absl::ToDoubleMilliseconds(absl::Now() - begin);
  const IalsRowSolver solver(factors, eigenvalues, loss);

  std::vector<std::vector<uint32_t>> histories(64);
  for (std::vector<uint32_t>& history : histories) {
    for (size_t i = 0; i < kHistory; ++i) history.push_back(static_cast<uint32_t>(random() % items));
    std::sort(history.begin(), history.end());
    history.erase(std::unique(history.begin(), history.end()), history.end());
  }
  const std::vector<float> weights(kHistory, 1.0f);
  const auto history_of = [&](int turn) -> absl::Span<const uint32_t> { return histories[static_cast<size_t>(turn) % histories.size()]; };
  const auto weights_of = [&](absl::Span<const uint32_t> history) { return absl::MakeConstSpan(weights).first(history.size()); };

  IalsFoldIn::Scratch scratch;
  IalsRowSolver::Workspace workspace;
  std::vector<float> user(kDimensions), scores(items);
  const auto full_pass = [&](int turn) {
    solver.Solve({{history_of(turn), weights_of(history_of(turn)), absl::MakeSpan(user)}}, &workspace);
    dense::Best().inner_products(factors.data(), kDimensions, items, kDimensions, user.data(), scores.data());
    TopItems best(kListLength);
    best.OfferAll(0, scores);
    return best.Take();
  };
  const auto compact = [&](int turn) {
    return fold_in.List(history_of(turn), weights_of(history_of(turn)), kListLength, false, &scratch);
  };
  for (int turn = 0; turn < 64; ++turn) {
    std::vector<ScoredItem> expected = full_pass(turn);
    for (ScoredItem& scored : expected) scored.score = std::max(0.0f, scored.score);
    CHECK(compact(turn) == expected) << "turn=" << turn;
  }
  const double full_us = Microseconds(turns, full_pass);
  const double compact_us = Microseconds(turns, compact);
  uint64_t sum = 0;
  const double read_us = Microseconds(turns, [&](int) { sum += Read(factors); });
  const double bytes = 4.0 * kDimensions * items;
  const double limit_us = read_us * static_cast<double>(fold_in.compact_bytes()) / bytes;
  std::cerr << absl::StrFormat("%d items: %.0f us, all in fp32 %.0f us; reading %.1f GB/s, so %.0f us at least (sum %d)\n",
                               items, compact_us, full_us, bytes / read_us / 1e3, limit_us, sum % 2);
  const std::string prefix = absl::StrCat("fold_in/", items, "_items");
  report->Add(absl::StrCat(prefix, "_us"), compact_us, "us", "fp32 pass over all items", full_us);
  report->Add(absl::StrCat(prefix, "_us_of_limit"), compact_us, "us", "reading the compact form", limit_us);
  report->Add(absl::StrCat(prefix, "_load_ms"), load_ms, "ms");
}

}  // namespace
}  // namespace tributary::bench

int main(int argc, char** argv) {
  google::InitGoogleLogging(argv[0]);
  const bool smoke = argc > 1 && std::strcmp(argv[1], "--smoke") == 0;
  tributary::bench::Report report("fold_in");
  for (const uint32_t items : smoke ? std::vector<uint32_t>{5'000} : std::vector<uint32_t>{10'000, 100'000, 1'000'000}) {
    tributary::bench::Run(items, smoke ? 11 : items > 500'000 ? 51 : 501, &report);
  }
  return 0;
}
