#include "common/snapshot/rocksdb_adapter.h"

#include <glog/logging.h>
#include <rocksdb/env.h>
#include <rocksdb/status.h>

#include <cstdarg>
#include <cstdio>

#include "absl/strings/str_cat.h"

namespace tributary {
namespace {

absl::StatusCode Code(const rocksdb::Status& status) {
  switch (status.code()) {
    case rocksdb::Status::kOk:
      return absl::StatusCode::kOk;
    case rocksdb::Status::kNotFound:
      return absl::StatusCode::kNotFound;
    case rocksdb::Status::kCorruption:
      return absl::StatusCode::kDataLoss;
    case rocksdb::Status::kInvalidArgument:
      return absl::StatusCode::kInvalidArgument;
    case rocksdb::Status::kIOError:
      return status.IsNoSpace() ? absl::StatusCode::kResourceExhausted : absl::StatusCode::kUnavailable;
    case rocksdb::Status::kBusy:
    case rocksdb::Status::kTimedOut:
    case rocksdb::Status::kTryAgain:
      return absl::StatusCode::kUnavailable;
    default:
      return absl::StatusCode::kInternal;
  }
}

class GlogLogger : public rocksdb::Logger {
 public:
  GlogLogger() : rocksdb::Logger(rocksdb::WARN_LEVEL) {}

  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}   // Unlevelled lines: the header with all options.
  void Logv(const rocksdb::InfoLogLevel level, const char* form, va_list arguments) override {
    if (level < GetInfoLogLevel() || level > rocksdb::FATAL_LEVEL) {
      return;
    }
    char line[1024];
    std::vsnprintf(line, sizeof(line), form, arguments);
    if (level == rocksdb::WARN_LEVEL) {
      LOG(WARNING) << "rocksdb: " << line;
    } else {
      LOG(ERROR) << "rocksdb: " << line;
    }
  }
};

}  // namespace

absl::Status FromRocksdb(const rocksdb::Status& status, absl::string_view what) {
  if (status.ok()) {
    return absl::OkStatus();
  }
  return absl::Status(Code(status), absl::StrCat(what, ": error=", status.ToString()));
}

std::shared_ptr<rocksdb::Logger> RocksdbLogger() { return std::make_shared<GlogLogger>(); }

}  // namespace tributary
