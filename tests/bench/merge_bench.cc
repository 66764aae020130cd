// What one merge costs: a list of 100 items, 30 decisions of history, 5 live facts with 50 neighbours each, 20 results with
// their reasons, users one after the other over a catalogue of 1,000,000 items (a smaller one with --smoke).
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "benchmark/benchmark.h"
#include "common/merge/merge.h"
#include "glog/logging.h"
#include "tests/bench/report.h"

namespace tributary {
namespace {

constexpr int64_t kNow = 1'700'000'000'000;
constexpr int kUsers = 2000;

class World : public CandidateViews {
 public:
  explicit World(int items) : items_(items) {
    std::mt19937_64 random(1);
    CatalogueBuilder builder;
    v1::Item item;
    for (int i = 0; i < items; ++i) {
      item.set_item_id(absl::StrCat("sku-", i));
      item.clear_categories();
      item.add_categories(absl::StrCat("category ", random() % 500));
      item.add_categories(absl::StrCat("department ", random() % 20));
      builder.Put(item);
    }
    catalogue_ = std::move(builder).Build();
    neighbours_.resize(static_cast<size_t>(items) * kNeighbours);
    for (size_t i = 0; i < neighbours_.size(); ++i) {
      neighbours_[i] = {ItemNumber{static_cast<uint32_t>(random() % static_cast<uint64_t>(items))},
                        1.0f - 0.01f * static_cast<float>(i % kNeighbours)};
    }
    users_.resize(kUsers);
    for (User& user : users_) {
      for (int i = 0; i < 100; ++i) {
        user.list.push_back({RandomItem(random), 1.0f - 0.005f * static_cast<float>(i)});
      }
      for (int i = 0; i < 30; ++i) {
        user.history.Apply(i % 3 == 0 ? v1::PURCHASE : v1::VIEW, RandomItem(random),
                           {kNow - 86'400'000LL * i, {PartitionId{0}, Offset{i}}}, 0);
      }
      for (int i = 0; i < 5; ++i) {
        user.facts.push_back({.kind = i == 2 ? v1::PURCHASE : v1::VIEW,
                              .item_id = std::string(catalogue_->Id(RandomItem(random))),
                              .event_time_unix_ms = kNow - 60'000 * i,
                              .offset = Offset{1000 + i}});
      }
    }
  }

  // Merges for one user after the other.
  void Next(MergeScratch* scratch, MergeResult* result) {
    User& user = users_[next_++ % users_.size()];
    const LivePartition live{.partition = PartitionId{0}, .watermark = Offset{1000}, .facts = user.facts};
    MergeInput input{.catalogue = catalogue_.get(),
                     .views = this,
                     .policy = &policy_,
                     .now_unix_ms = kNow,
                     .personal = user.list,
                     .history = &user.history,
                     .live = absl::MakeConstSpan(&live, 1)};
    CHECK(Merge(input, scratch, result).ok());
    CHECK_EQ(result->items.size(), 20u);
  }

  // One live change of one item.
  void Change() {
    v1::Item item;
    item.set_item_id(absl::StrCat("sku-", next_++ % static_cast<size_t>(items_)));
    item.add_categories("category 7");
    item.set_stock(3);
    CatalogueBuilder builder(*catalogue_);
    builder.Put(item);
    catalogue_ = std::move(builder).Build();
  }

  absl::Span<const ScoredItem> Neighbours(ItemNumber item) const override {
    return absl::MakeConstSpan(neighbours_).subspan(size_t{Value(item)} * kNeighbours, kNeighbours);
  }
  absl::Span<const ScoredItem> Popular() const override { return {}; }
  absl::Span<const ScoredItem> PopularIn(CategoryNumber) const override { return {}; }
  absl::Span<const ScoredItem> PopularAmong(absl::string_view) const override { return {}; }

 private:
  static constexpr size_t kNeighbours = 50;
  struct User {
    std::vector<ScoredItem> list;
    UserHistory history;
    std::vector<Fact> facts;
  };
  ItemNumber RandomItem(std::mt19937_64& random) const {
    return ItemNumber{static_cast<uint32_t>(random() % static_cast<uint64_t>(items_))};
  }

  int items_;
  MergePolicy policy_ = MergePolicy::Default();
  std::shared_ptr<const Catalogue> catalogue_;
  std::vector<ScoredItem> neighbours_;
  std::vector<User> users_;
  size_t next_ = 0;
};

// Passes each figure on to the report, in microseconds.
class Reporter : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      report_.Add(run.run_name.function_name, run.GetAdjustedRealTime(), "us");
    }
  }

 private:
  bench::Report report_{"merge"};
};

}  // namespace
}  // namespace tributary

int main(int argc, char** argv) {
  google::InitGoogleLogging(argv[0]);
  bool smoke = false;
  for (int i = 1; i < argc; ++i) {
    smoke = smoke || std::strcmp(argv[i], "--smoke") == 0;
  }
  tributary::World world(smoke ? 10'000 : 1'000'000);
  tributary::MergeScratch scratch;
  tributary::MergeResult result;
  const double seconds = smoke ? 0.05 : 2;
  benchmark::RegisterBenchmark("recommend_20_us", [&](benchmark::State& state) {
    for (auto _ : state) {
      world.Next(&scratch, &result);
    }
  })->Unit(benchmark::kMicrosecond)->MinTime(seconds);
  benchmark::RegisterBenchmark("catalogue_change_us", [&](benchmark::State& state) {
    for (auto _ : state) {
      world.Change();
    }
  })->Unit(benchmark::kMicrosecond)->MinTime(seconds);
  tributary::Reporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
}
