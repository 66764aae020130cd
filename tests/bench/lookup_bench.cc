// How many users' views one core looks up in a snapshot, users drawn uniformly: the one point read of a request, with
// the list and the history that it fills. Peer: db_bench (package rocksdb-tools) reading the same values under keys of
// the same number from RocksDB's block-based table through mmap, which hands out bytes and parses nothing. Debian's
// librocksdb, which both use, is built with assertions. Files are in the page cache.
#include <glog/logging.h>
#include <rocksdb/db.h>
#include <rocksdb/options.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/process/stop_signal.h"
#include "common/snapshot/snapshot.h"
#include "tests/bench/report.h"
#include "tests/bench/serving_world.h"
#include "tests/bench/statistics.h"
#include "tests/fakes/temp_dir.h"

namespace tributary::serving {
namespace {

constexpr int64_t kBlockCacheBytes = int64_t{64} << 20;
constexpr int kTurns = 3;

struct Options {
  std::string world;
  std::string db_bench = "/usr/bin/db_bench";
  Scale scale = {.users = 1'000'000, .items = 10'000, .sessions = 1'000};
  int lookups = 1'000'000;
};

// Users a second.
double LookUp(const SnapshotReader& snapshot, const Options& options) {
  std::mt19937_64 random(5);
  StoredUser user;
  const absl::Time begin = absl::Now();
  for (int n = 0; n < options.lookups; ++n) {
    const absl::StatusOr<bool> found =
        snapshot.ReadUser(UserId(static_cast<int>(random() % static_cast<uint64_t>(options.scale.users))), &user);
    CHECK(found.ok() && *found) << found.status();
  }
  return options.lookups / absl::ToDoubleSeconds(absl::Now() - begin);
}

// The snapshot's values in a database as db_bench expects one: keys of 16 bytes, the number in the first eight.
void WriteForDbBench(const SnapshotReader& snapshot, const std::string& dir) {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.compression = rocksdb::kNoCompression;
  options.disable_auto_compactions = true;
  rocksdb::DB* opened = nullptr;
  CHECK(rocksdb::DB::Open(options, dir, &opened).ok());
  const std::unique_ptr<rocksdb::DB> db(opened);
  rocksdb::WriteOptions without_log;
  without_log.disableWAL = true;
  uint64_t n = 0;
  CHECK(snapshot
            .ForEachUser([&](absl::string_view, const v1::SnapshotUser& user) {
              std::string key(16, '0');
              for (int byte = 0; byte < 8; ++byte) key[static_cast<size_t>(byte)] = static_cast<char>(n >> (56 - 8 * byte));
              ++n;
              CHECK(db->Put(without_log, key, user.SerializeAsString()).ok());
              return absl::OkStatus();
            })
            .ok());
  CHECK(db->Flush(rocksdb::FlushOptions()).ok());
  CHECK(db->CompactRange(rocksdb::CompactRangeOptions(), nullptr, nullptr).ok());
}

// Reads a second; none when there is no such program.
std::optional<double> RunDbBench(const std::string& dir, const Options& options) {
  if (!std::filesystem::exists(options.db_bench)) {
    std::cerr << "no peer: " << options.db_bench << " is not there (package rocksdb-tools)\n";
    return std::nullopt;
  }
  const std::string command = absl::StrCat(
      options.db_bench, " --benchmarks=readrandom --use_existing_db=1 --readonly=1 --mmap_read=1 --threads=1 --key_size=16",
      " --compression_type=none --bloom_bits=10 --cache_size=", kBlockCacheBytes, " --num=", options.scale.users,
      " --reads=", options.lookups, " --db=", dir, " 2>&1");
  std::FILE* out = popen(command.c_str(), "r");
  CHECK(out != nullptr);
  std::string said;
  std::optional<double> rate;
  char line[1024];
  while (std::fgets(line, sizeof(line), out) != nullptr) {
    said += line;
    double micros = 0;
    int64_t per_second = 0;
    int64_t found = 0;
    if (std::sscanf(line, "readrandom : %lf micros/op %ld ops/sec", &micros, &per_second) == 2) rate = per_second;
    if (const char* of = std::strstr(line, "MB/s ("); of != nullptr && std::sscanf(of, "MB/s (%ld of", &found) == 1) {
      CHECK_EQ(found, options.lookups) << "keys that it did not find";
    }
  }
  CHECK_EQ(pclose(out), 0) << said;
  CHECK(rate.has_value()) << said;
  return rate;
}

int Main(Options options) {
  const TempDir dir("tributary-bench");
  if (options.world.empty()) {
    options.world = dir.Join("world");
    std::filesystem::create_directory(options.world);
    WriteSnapshot(options.world, options.scale);
  }
  const auto snapshot =
      SnapshotReader::Open(options.world, Generation{1}, SnapshotReader::Verify::kChecksums, kBlockCacheBytes);
  CHECK(snapshot.ok()) << snapshot.status();
  const std::string database = dir.Join("database");
  WriteForDbBench(**snapshot, database);
  std::vector<double> ours, peers;
  for (int turn = 0; turn < kTurns; ++turn) {
    ours.push_back(LookUp(**snapshot, options));
    if (const auto peer = RunDbBench(database, options)) peers.push_back(*peer);
  }
  bench::Report report("serving");
  if (peers.empty()) {
    report.Add("lookup_per_s", bench::Median(ours), "users/s");
  } else {
    report.Add("lookup_per_s", bench::Median(ours), "users/s", "db_bench readrandom, block-based table, mmap", bench::Median(peers));
  }
  return 0;
}

}  // namespace
}  // namespace tributary::serving

int main(int argc, char** argv) {
  using namespace tributary::serving;
  tributary::InitLogging(argv[0]);
  Options options;
  bool smoke = false;
  CLI::App app{"Users looked up in a snapshot, beside db_bench."};
  app.add_option("--world", options.world, "folder of serving_load's snapshots (default: made and removed)");
  app.add_option("--users", options.scale.users, "of the world")->check(CLI::Range(10, 100'000'000));
  app.add_flag("--smoke", smoke, "a short run on a small world");
  CLI11_PARSE(app, argc, argv);
  if (smoke) {
    options.scale = {.users = 500, .items = 300, .sessions = 1'000};
    options.lookups = 1'000;
  }
  return Main(options);
}
