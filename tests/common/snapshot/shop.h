#ifndef TRIBUTARY_TESTS_COMMON_SNAPSHOT_SHOP_H_
#define TRIBUTARY_TESTS_COMMON_SNAPSHOT_SHOP_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "common/ids/ids.h"
#include "tributary/v1/snapshot.pb.h"

// Snapshots as the gate's measures see them.
namespace tributary::sample {

// Items i0 .. i(items - 1) in the order that `shift` turns, and users u000000 .. whose lists are these items in order.
struct Shop {
  int users = 300;
  int items = 20;
  int shift = 0;
  int first_item = 0;
  int unlisted = 0;  // The first of the users: without a list.
  int empty = 0;     // The next of them: with an empty one.
};

// Writes a whole snapshot; `manifest` may say more of it than the counts.
absl::Status WriteShop(const std::string& snapshots_dir, Generation generation, const Shop& shop,
                       v1::SnapshotManifest manifest = {});

}  // namespace tributary::sample

#endif  // TRIBUTARY_TESTS_COMMON_SNAPSHOT_SHOP_H_
