#include "batch_layer/pipeline/retention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tributary::batch {
namespace {

// Snapshots by generation, `3c 4 5r`: c current, u in use besides, r refused, x retired.
std::vector<StoredSnapshot> Parse(const std::string& text) {
  std::vector<StoredSnapshot> snapshots;
  for (const char letter : " " + text) {
    switch (letter) {
      case ' ':
        snapshots.emplace_back();
        break;
      case 'c':
      case 'u':
        snapshots.back().in_use = true;
        break;
      case 'r':
        snapshots.back().refused = true;
        break;
      case 'x':
        snapshots.back().retired = true;
        break;
      default:
        snapshots.back().generation = Generation{Value(snapshots.back().generation) * 10 + (letter - '0')};
    }
  }
  return snapshots;
}

TEST(RetentionTest, WhatGoes) {
  struct Case {
    std::string what;
    std::string snapshots;
    int good;
    int refused;
    std::vector<int64_t> gone;
  };
  const Case cases[] = {
      {"nothing below the limit", "1 2 3c", 3, 1, {}},
      {"the oldest past it", "1 2 3 4c", 3, 1, {1}},
      {"whatever the order", "4c 1 3 2", 3, 1, {1}},
      {"ten is newer than nine", "9 10 11c", 2, 1, {9}},
      {"the current one stays, however old", "1c 2 3 4", 2, 1, {2}},
      {"the current one takes a place when it is among the newest", "1 2 3c 4", 2, 1, {1, 2}},
      {"what replicas still serve stays", "1u 2 3 4c", 2, 1, {2}},
      {"refused ones take no good one's place", "1 2c 3r 4r 5r", 2, 1, {3, 4}},
      {"good ones take no refused one's place", "1r 2 3 4 5c", 2, 1, {2, 3}},
      {"all refused, none current", "1r 2r 3r", 2, 2, {1}},
      {"a refused one that was activated by hand stays while it is current", "1 2rc 3r 4r", 2, 1, {3}},
      {"and goes as a refused one after that", "1 2r 3r 4c", 2, 1, {2}},
      {"a retired one goes and takes no place", "1x 2 3c", 3, 1, {1}},
      {"a newer retired one takes no place either", "1 2 3x 4c", 3, 1, {3}},
      {"retired, then activated by hand: it stays, and takes its place", "1 2xc", 1, 1, {1}},
      {"a retired refused one", "1 2rx 3r 4c", 2, 2, {2}},
  };
  for (const Case& test : cases) {
    std::vector<int64_t> gone;
    for (const Generation generation : ToRetire(Parse(test.snapshots), {.good = test.good, .refused = test.refused})) {
      gone.push_back(Value(generation));
    }
    EXPECT_THAT(gone, testing::UnorderedElementsAreArray(test.gone)) << test.what << ": " << test.snapshots;
  }
  EXPECT_TRUE(ToRetire({}, {.good = 2, .refused = 1}).empty());
}

}  // namespace
}  // namespace tributary::batch
