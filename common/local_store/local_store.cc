#include "common/local_store/local_store.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <stdlib.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/snapshot/rocksdb_adapter.h"
#include "glog/logging.h"

namespace tributary {
namespace {

constexpr char kName[] = "users-";
constexpr size_t kWriteBufferBytes = 16 << 20;
constexpr int kWriteBuffers = 3;
constexpr size_t kBlockCacheBytes = 16 << 20;  // The kernel keeps the files in what memory is free.
constexpr double kFilterBitsPerKey = 10;

rocksdb::Slice Slice(absl::string_view text) { return {text.data(), text.size()}; }

rocksdb::Options StoreOptions() {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.info_log = RocksdbLogger();
  options.write_buffer_size = kWriteBufferBytes;
  options.max_write_buffer_number = kWriteBuffers;
  options.compression = rocksdb::kNoCompression;
  options.max_open_files = 256;
  rocksdb::BlockBasedTableOptions table;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(kFilterBitsPerKey));
  table.block_cache = rocksdb::NewLRUCache(kBlockCacheBytes);
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

class RocksLocalStore final : public LocalStore {
 public:
  RocksLocalStore(std::string dir, std::unique_ptr<rocksdb::DB> db) : dir_(std::move(dir)), db_(std::move(db)) {
    write_.disableWAL = true;  // It ends with the process.
  }
  ~RocksLocalStore() override {
    db_.reset();
    std::error_code ignored;  // The next start deletes what is left.
    std::filesystem::remove_all(dir_, ignored);
  }

  absl::Status Put(absl::Span<const Entry> entries) override {
    rocksdb::WriteBatch batch;
    for (const auto& [key, value] : entries) {
      (void)batch.Put(Slice(key), Slice(value));
    }
    return FromRocksdb(db_->Write(write_, &batch), absl::StrCat("local store not written: dir=", dir_));
  }

  absl::StatusOr<std::vector<std::optional<std::string>>> Get(absl::Span<const std::string> keys) override {
    const std::vector<rocksdb::Slice> slices(keys.begin(), keys.end());
    std::vector<rocksdb::PinnableSlice> found(keys.size());
    std::vector<rocksdb::Status> statuses(keys.size());
    db_->MultiGet(rocksdb::ReadOptions(), db_->DefaultColumnFamily(), slices.size(), slices.data(), found.data(),
                  statuses.data());
    std::vector<std::optional<std::string>> values(keys.size());
    for (size_t i = 0; i < keys.size(); ++i) {
      if (statuses[i].IsNotFound()) continue;
      if (!statuses[i].ok()) return FromRocksdb(statuses[i], absl::StrCat("local store not read: dir=", dir_));
      values[i] = found[i].ToString();
    }
    return values;
  }

  absl::StatusOr<std::vector<Entry>> Scan(absl::string_view begin, absl::string_view end, size_t limit) override {
    const rocksdb::Slice upper = Slice(end);
    rocksdb::ReadOptions options;
    options.iterate_upper_bound = &upper;
    options.fill_cache = false;
    const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(options));
    std::vector<Entry> entries;
    for (at->Seek(Slice(begin)); at->Valid() && entries.size() < limit; at->Next()) {
      entries.emplace_back(at->key().ToString(), at->value().ToString());
    }
    if (!at->status().ok()) return FromRocksdb(at->status(), absl::StrCat("local store not read: dir=", dir_));
    return entries;
  }

  void Drop(absl::string_view begin, absl::string_view end) override {
    const rocksdb::Status status = db_->DeleteRange(write_, db_->DefaultColumnFamily(), Slice(begin), Slice(end));
    if (!status.ok()) {
      LOG(WARNING) << FromRocksdb(status, absl::StrCat("local store keeps what nobody needs: dir=", dir_)).message();
    }
  }

 private:
  const std::string dir_;
  std::unique_ptr<rocksdb::DB> db_;
  rocksdb::WriteOptions write_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<LocalStore>> OpenLocalStore(const std::string& dir) {
  std::error_code error;
  std::filesystem::create_directories(dir, error);
  if (error) {
    return absl::UnavailableError(absl::StrCat("local store not made: dir=", dir, " cause=\"", error.message(), "\""));
  }
  for (const auto& entry : std::filesystem::directory_iterator(dir, error)) {
    if (entry.path().filename().string().rfind(kName, 0) != 0) continue;
    // Refused while a process has it open, whose lock it is.
    if (!rocksdb::DestroyDB(entry.path().string(), StoreOptions()).ok()) continue;
    std::error_code ignored;
    std::filesystem::remove_all(entry.path(), ignored);
  }
  std::string path = (std::filesystem::path(dir) / (std::string(kName) + "XXXXXX")).string();
  if (::mkdtemp(path.data()) == nullptr) {
    return absl::UnavailableError(absl::StrCat("local store not made: dir=", dir, " cause=\"", strerror(errno), "\""));
  }
  rocksdb::DB* db = nullptr;
  if (const rocksdb::Status status = rocksdb::DB::Open(StoreOptions(), path, &db); !status.ok()) {
    std::filesystem::remove_all(path, error);
    return FromRocksdb(status, absl::StrCat("local store not opened: dir=", path));
  }
  return std::make_unique<RocksLocalStore>(path, std::unique_ptr<rocksdb::DB>(db));
}

}  // namespace tributary
