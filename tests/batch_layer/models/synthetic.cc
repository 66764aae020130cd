#include "tests/batch_layer/models/synthetic.h"

#include <glog/logging.h>

#include <algorithm>
#include <random>
#include <set>
#include <utility>

namespace tributary::batch::synthetic {
namespace {

// A number in [0, n), from the generator's bits alone: the library's distributions differ between libraries.
uint32_t Below(std::mt19937_64& random, uint32_t n) { return static_cast<uint32_t>(random() % n); }

}  // namespace

InteractionMatrix Random(uint32_t rows, uint32_t items, uint32_t most, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<Interaction> interactions;
  for (uint32_t row = 0; row + 1 < rows; ++row) {
    std::set<uint32_t> chosen;
    for (uint32_t i = Below(random, most + 1); i > 0; --i) {
      chosen.insert(Below(random, items));
    }
    for (uint32_t item : chosen) {
      interactions.push_back({row, item, 0.5f + 0.5f * static_cast<float>(Below(random, 6))});
    }
  }
  auto matrix = InteractionMatrix::Create(rows, items, std::move(interactions));
  CHECK(matrix.ok()) << matrix.status();
  return *std::move(matrix);
}

Clustered Clusters(uint32_t users, uint32_t items, uint32_t clusters, uint64_t seed) {
  constexpr uint32_t kChoices = 24;
  constexpr size_t kHeldOut = 4;
  std::mt19937_64 random(seed);
  Clustered data;
  data.held_out.resize(users);
  for (uint32_t user = 0; user < users; ++user) {
    const uint32_t group = user % clusters;
    std::vector<uint32_t> order;
    for (uint32_t i = 0; i < kChoices; ++i) {
      uint32_t item = std::min(Below(random, items), Below(random, items));
      if (Below(random, 10) != 0) {
        item = std::min(item - item % clusters + group, items - 1);
      }
      if (std::find(order.begin(), order.end(), item) == order.end()) {
        order.push_back(item);
      }
    }
    for (size_t i = 0; i < order.size(); ++i) {
      if (i + kHeldOut < order.size()) {
        data.train.push_back({user, order[i]});
      } else {
        data.held_out[user].push_back(order[i]);
      }
    }
  }
  return data;
}

}  // namespace tributary::batch::synthetic
