#ifndef TRIBUTARY_COMMON_SNAPSHOT_ROCKSDB_ADAPTER_H_
#define TRIBUTARY_COMMON_SNAPSHOT_ROCKSDB_ADAPTER_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace rocksdb {
class Logger;
class Status;
}  // namespace rocksdb

// The one place where RocksDB's errors and log lines become ours.
namespace tributary {

// `what: error=...`, with the code that fits.
absl::Status FromRocksdb(const rocksdb::Status& status, absl::string_view what);

// Warnings and errors go to glog, the rest nowhere. Without it RocksDB writes a LOG file into the database's directory.
std::shared_ptr<rocksdb::Logger> RocksdbLogger();

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_SNAPSHOT_ROCKSDB_ADAPTER_H_
