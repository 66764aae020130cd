#ifndef TRIBUTARY_TESTS_SIMULATION_SNAPSHOT_COPY_H_
#define TRIBUTARY_TESTS_SIMULATION_SNAPSHOT_COPY_H_

#include <cstdint>
#include <set>
#include <string>
#include <utility>

namespace tributary::simulation {

// A tool that knows nothing of snapshots and copies a directory to another machine, one file at a time, in any order,
// CURRENT and manifests at any moment; what was torn or damaged on the way it copies again some time.
class SnapshotCopy {
 public:
  SnapshotCopy(std::string from, std::string to);

  enum class How { kWhole, kTorn, kFlipped };
  // Copies the so-manyth of the files that lack or are damaged, if there are any.
  void CopyOne(int64_t which, How how);
  // Copies all that lacks or is damaged, the so-manyth of it with a flipped bit.
  void CopyMissing(int64_t which);
  void CopyCurrent();
  // Copies all that lacks, CURRENT last, and deletes what is no longer there.
  void Finish();

 private:
  std::set<std::string> Missing() const;
  void Copy(const std::string& file, How how);

  const std::string from_;
  const std::string to_;
  std::set<std::string> good_;  // Copied whole.
};

}  // namespace tributary::simulation

#endif  // TRIBUTARY_TESTS_SIMULATION_SNAPSHOT_COPY_H_
