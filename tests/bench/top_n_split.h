#ifndef TRIBUTARY_TESTS_BENCH_TOP_N_SPLIT_H_
#define TRIBUTARY_TESTS_BENCH_TOP_N_SPLIT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "batch_layer/evaluation/ranking_metrics.h"
#include "batch_layer/models/interaction_matrix.h"

// Sets in the form of gowalla and ml-1m-lcfn: train.txt.zst and test.txt.zst, a line a user, `user item item ...`. For each
// user all items outside the user's train line are ranked.
namespace tributary::bench {

inline constexpr size_t kListLength = 20;

// One part, by user.
struct Part {
  uint32_t users = 0;     // Largest number + 1, as the next.
  uint32_t items = 0;
  std::vector<std::vector<uint32_t>> items_of;   // Ascending.
};

// The text of $TRIBUTARY_DATA/path, unpacked when its name ends in .zst. Without it the program ends and says which
// file is wanted.
std::string ReadData(const std::string& path);

// $TRIBUTARY_DATA/set/part.txt.zst. Without it the program ends and says which file is wanted.
Part ReadPart(const std::string& set, const std::string& part);

// Small synthetic data: train and test.
std::pair<Part, Part> SyntheticParts();

// The matrix of a part, with at least the users and items of `other`.
batch::InteractionMatrix MatrixOf(const Part& part, const Part& other);

// Mean metrics of the lists at K = 20.
batch::RankingMetrics Evaluate(const std::vector<std::vector<ScoredItem>>& lists, const batch::InteractionMatrix& train,
                               const Part& test);

}  // namespace tributary::bench

#endif  // TRIBUTARY_TESTS_BENCH_TOP_N_SPLIT_H_
