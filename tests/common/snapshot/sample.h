#ifndef TRIBUTARY_TESTS_COMMON_SNAPSHOT_SAMPLE_H_
#define TRIBUTARY_TESTS_COMMON_SNAPSHOT_SAMPLE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/ids/ids.h"
#include "common/snapshot/snapshot.h"

// A small snapshot with something in every view. The golden snapshots are this one with 40 users, that of format
// version 1 without factors and sessions: changing what it holds means that the golden ones no longer equal it.
namespace tributary::sample {

inline constexpr int kItems = 7;

std::string UserId(int user);
v1::Item ItemNumbered(int item);
v1::SnapshotUser UserNumbered(int user);
CountKey CountNumbered(int count);
v1::SnapshotManifest Manifest();

// Valid for good.
SnapshotFactors ItemFactors();
SessionIndex Sessions();

// Everything but Finish.
absl::Status Fill(SnapshotWriter& writer, int users);
absl::StatusOr<v1::SnapshotManifest> Write(const std::string& snapshots_dir, Generation generation, int users,
                                           int64_t target_file_bytes = kSnapshotFileBytes);

// Empty when the reader answers exactly what Fill wrote (of format version 1: without factors and sessions), else what
// differs first.
std::string Difference(const SnapshotReader& reader, int users);

}  // namespace tributary::sample

#endif  // TRIBUTARY_TESTS_COMMON_SNAPSHOT_SAMPLE_H_
