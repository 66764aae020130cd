#include "common/snapshot/sst_view_writer.h"

#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/table.h>

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/snapshot/files.h"
#include "common/snapshot/rocksdb_adapter.h"
#include "common/status/status_macros.h"

namespace tributary {
namespace {

rocksdb::Slice Slice(absl::string_view text) { return {text.data(), text.size()}; }

rocksdb::Options TableOptions() {
  rocksdb::BlockBasedTableOptions table;
  table.format_version = 5;
  table.checksum = rocksdb::kXXH3;
  table.block_size = 8 << 10;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.data_block_index_type = rocksdb::BlockBasedTableOptions::kDataBlockBinaryAndHash;
  rocksdb::Options options;
  options.compression = rocksdb::kLZ4Compression;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.info_log = RocksdbLogger();
  options.db_host_id = "";   // A snapshot does not name the machine that wrote it.
  return options;
}

}  // namespace

struct SstViewWriter::Table {
  rocksdb::SstFileWriter writer{rocksdb::EnvOptions(), TableOptions()};
};

SstViewWriter::SstViewWriter(snapshot_format::View view, std::string dir, int64_t target_file_bytes)
    : view_(view), dir_(std::move(dir)), target_file_bytes_(target_file_bytes) {}

SstViewWriter::~SstViewWriter() = default;

absl::Status SstViewWriter::Put(absl::string_view key, absl::string_view value) {
  if (!empty_ && key <= last_key_) {
    return absl::InvalidArgumentError(absl::StrCat("snapshot keys out of order: view=", ViewName(view_), " key=",
                                                   absl::CHexEscape(key), " before=", absl::CHexEscape(last_key_)));
  }
  if (table_ == nullptr) {
    auto table = std::make_unique<Table>();
    const std::string path = absl::StrCat(dir_, "/", ViewName(view_), "-", files_.size(), ".sst");
    TRIBUTARY_RETURN_IF_ERROR(
        FromRocksdb(table->writer.Open(path), absl::StrCat("snapshot file not writable: path=", path)));
    files_.push_back(path);
    table_ = std::move(table);
  }
  TRIBUTARY_RETURN_IF_ERROR(FromRocksdb(table_->writer.Put(Slice(key), Slice(value)),
                                        absl::StrCat("snapshot file not writable: path=", files_.back())));
  digest_.AddPair(key, value);
  last_key_.assign(key.data(), key.size());
  empty_ = false;
  if (table_->writer.FileSize() >= static_cast<uint64_t>(target_file_bytes_)) {
    return Finish();
  }
  return absl::OkStatus();
}

absl::Status SstViewWriter::Finish() {
  if (table_ == nullptr) {
    return absl::OkStatus();
  }
  const std::unique_ptr<Table> table = std::move(table_);
  return FromRocksdb(table->writer.Finish(), absl::StrCat("snapshot file not writable: path=", files_.back()));
}

absl::Status BuildDatabase(const std::string& path, absl::Span<const std::unique_ptr<SstViewWriter>> views) {
  rocksdb::Options options;
  options.info_log = RocksdbLogger();
  options.db_host_id = "";
  options.create_if_missing = true;
  options.allow_fallocate = false;   // What the database itself writes here is small: 4 MiB set aside for each file only cost.
  options.error_if_exists = true;
  options.disable_auto_compactions = true;
  options.verify_sst_unique_id_in_manifest = false;   // As the reader.
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  const std::string what = absl::StrCat("snapshot database not writable: path=", path);
  TRIBUTARY_RETURN_IF_ERROR(files::CreateDirectories(path));   // Else RocksDB logs an error that is none.
  rocksdb::DB* opened = nullptr;
  TRIBUTARY_RETURN_IF_ERROR(FromRocksdb(rocksdb::DB::Open(options, path, &opened), what));
  const std::unique_ptr<rocksdb::DB> db(opened);
  std::vector<rocksdb::ColumnFamilyHandle*> families;
  absl::Cleanup release = [&] {
    for (rocksdb::ColumnFamilyHandle* family : families) {
      db->DestroyColumnFamilyHandle(family);
    }
  };
  // All at once: each call writes a file of options.
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  for (const std::unique_ptr<SstViewWriter>& view : views) {
    descriptors.emplace_back(std::string(ViewName(view->view())), TableOptions());
  }
  TRIBUTARY_RETURN_IF_ERROR(FromRocksdb(db->CreateColumnFamilies(descriptors, &families), what));
  for (size_t i = 0; i < views.size(); ++i) {
    if (views[i]->files().empty()) {
      continue;
    }
    rocksdb::IngestExternalFileOptions ingest;
    ingest.move_files = true;
    ingest.write_global_seqno = false;   // The files stay as they were written.
    TRIBUTARY_RETURN_IF_ERROR(FromRocksdb(db->IngestExternalFile(families[i], views[i]->files(), ingest), what));
  }
  std::move(release).Invoke();
  TRIBUTARY_RETURN_IF_ERROR(FromRocksdb(db->Close(), what));
  // Of use to a writer only.
  return files::RemoveAll(absl::StrCat(path, "/LOCK"));
}

}  // namespace tributary
