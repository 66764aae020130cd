#include <arrow/api.h>
#include <arrow/csv/api.h>
#include <arrow/io/interfaces.h>

#include <algorithm>
#include <map>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "batch_layer/import/record_reader.h"
#include "common/status/status_macros.h"
#include "common/sync/mutex.h"

// Arrow's CSV reader behind ReadCsv: the only file that knows it.
namespace tributary::batch {
namespace {

constexpr int32_t kBlockBytes = 4 * 1024 * 1024;     // A row must be shorter than this.

// A ByteSource as Arrow reads it; keeps our status, which says more than Arrow's. Arrow reads ahead on a thread of its own,
// also while and after its reader goes: what is detached touches the source no more.
class SourceStream final : public arrow::io::InputStream {
 public:
  explicit SourceStream(ByteSource& source) : source_(&source) {}

  // Waits for a read that is under way.
  void Detach() {
    MutexLock lock(mutex_);
    source_ = nullptr;
  }

  arrow::Status Close() override {
    MutexLock lock(mutex_);
    closed_ = true;
    return arrow::Status::OK();
  }
  bool closed() const override {
    MutexLock lock(mutex_);
    return closed_;
  }
  arrow::Result<int64_t> Tell() const override {
    MutexLock lock(mutex_);
    return position_;
  }
  arrow::Result<int64_t> Read(int64_t count, void* out) override {
    MutexLock lock(mutex_);
    int64_t filled = 0;
    while (filled < count && source_ != nullptr) {
      const absl::StatusOr<size_t> read =
          source_->Read(absl::MakeSpan(static_cast<char*>(out) + filled, static_cast<size_t>(count - filled)));
      if (!read.ok()) {
        status_ = read.status();
        return arrow::Status::IOError(status_.message());
      }
      if (*read == 0) {
        break;
      }
      filled += static_cast<int64_t>(*read);
    }
    position_ += filled;
    return filled;
  }
  arrow::Result<std::shared_ptr<arrow::Buffer>> Read(int64_t count) override {
    ARROW_ASSIGN_OR_RAISE(std::unique_ptr<arrow::ResizableBuffer> buffer, arrow::AllocateResizableBuffer(count));
    ARROW_ASSIGN_OR_RAISE(const int64_t read, Read(count, buffer->mutable_data()));
    ARROW_RETURN_NOT_OK(buffer->Resize(read));
    return std::shared_ptr<arrow::Buffer>(std::move(buffer));
  }
  absl::Status status() const {
    MutexLock lock(mutex_);
    return status_;
  }

 private:
  mutable Mutex mutex_;
  ByteSource* source_ ABSL_GUARDED_BY(mutex_);       // Null: detached.
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  int64_t position_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

std::string QuotedRow(absl::Span<const absl::string_view> values, char delimiter) {
  std::string row;
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) {
      row.push_back(delimiter);
    }
    const char special[] = {delimiter, '"', '\n', '\r'};
    if (values[i].find_first_of(absl::string_view(special, sizeof(special))) == absl::string_view::npos) {
      absl::StrAppend(&row, values[i]);
    } else {
      absl::StrAppend(&row, "\"", absl::StrReplaceAll(values[i], {{"\"", "\"\""}}), "\"");
    }
  }
  return row;
}

class CsvPass {
 public:
  CsvPass(ByteSource& source, const v1::ImportMapping& mapping, absl::Span<const std::string> columns,
          const RowVisitor& visitor)
      : source_(source), mapping_(mapping), columns_(columns), visitor_(visitor) {}

  absl::Status Run() {
    const auto stream = std::make_shared<SourceStream>(source_);
    const absl::Cleanup detach = [&stream] { stream->Detach(); };
    auto opened = Open(stream);
    if (!stream->status().ok()) {
      return stream->status();
    }
    if (!opened.ok()) {
      if (opened.status().ToString().find("Empty CSV file") != std::string::npos) {
        return absl::OkStatus();
      }
      return absl::InvalidArgumentError(absl::StrCat("file cannot be read as the mapping says: cause=", opened.status().message()));
    }
    for (;;) {
      std::shared_ptr<arrow::RecordBatch> batch;
      const arrow::Status read = (*opened)->ReadNext(&batch);
      if (!stream->status().ok()) {
        return stream->status();
      }
      if (!read.ok()) {
        return absl::InvalidArgumentError(absl::StrCat("file cannot be read on: line=", line_ + 1, " cause=", read.message()));
      }
      if (batch == nullptr) {
        break;
      }
      TRIBUTARY_RETURN_IF_ERROR(Visit(*batch));
    }
    return SkipUnreadable();
  }

 private:
  arrow::Result<std::shared_ptr<arrow::csv::StreamingReader>> Open(std::shared_ptr<SourceStream> stream) {
    auto read = arrow::csv::ReadOptions::Defaults();
    read.use_threads = false;            // Only then does Arrow know the number of an unreadable row.
    read.block_size = kBlockBytes;
    read.column_names.assign(mapping_.columns().begin(), mapping_.columns().end());
    line_ = mapping_.columns().empty() ? 1 : 0;
    auto parse = arrow::csv::ParseOptions::Defaults();
    parse.delimiter = delimiter();
    parse.newlines_in_values = true;
    parse.ignore_empty_lines = false;    // They count as lines.
    parse.invalid_row_handler = [this](const arrow::csv::InvalidRow& row) {
      unreadable_.emplace(row.number, Invalid{row.expected_columns, row.actual_columns, std::string(row.text)});
      return arrow::csv::InvalidRowResult::Skip;
    };
    auto convert = arrow::csv::ConvertOptions::Defaults();
    convert.check_utf8 = false;          // Validation of events says more, and rejects only the row.
    convert.strings_can_be_null = false;
    convert.null_values.clear();
    convert.auto_dict_encode = false;
    // Every column as bytes: types are a matter of the mapping.
    convert.include_columns.assign(columns_.begin(), columns_.end());
    for (const std::string& column : columns_) {
      convert.column_types[column] = arrow::binary();
    }
    return arrow::csv::StreamingReader::Make(arrow::io::default_io_context(), std::move(stream), read, parse, convert);
  }

  char delimiter() const { return mapping_.delimiter().empty() ? ',' : mapping_.delimiter()[0]; }

  absl::Status Visit(const arrow::RecordBatch& batch) {
    std::vector<const arrow::BinaryArray*> arrays;
    for (const auto& column : batch.columns()) {
      arrays.push_back(static_cast<const arrow::BinaryArray*>(column.get()));
    }
    std::vector<absl::string_view> values(arrays.size());
    Row row;
    row.raw = [&] { return QuotedRow(values, delimiter()); };
    for (int64_t i = 0; i < batch.num_rows(); ++i) {
      TRIBUTARY_RETURN_IF_ERROR(SkipUnreadable());
      ++line_;
      for (size_t c = 0; c < arrays.size(); ++c) {
        const std::string_view view = arrays[c]->GetView(i);
        values[c] = absl::string_view(view.data(), view.size());
      }
      // An empty line comes as a row of empty values.
      if (std::all_of(values.begin(), values.end(), [](absl::string_view value) { return value.empty(); })) {
        continue;
      }
      row.line = line_;
      row.values = values;
      TRIBUTARY_RETURN_IF_ERROR(visitor_.row(row));
    }
    return absl::OkStatus();
  }

  // Reports the unreadable rows that come next.
  absl::Status SkipUnreadable() {
    for (auto it = unreadable_.begin(); it != unreadable_.end() && it->first <= line_ + 1; it = unreadable_.erase(it)) {
      line_ = it->first;
      absl::string_view raw = it->second.raw;
      while (absl::ConsumeSuffix(&raw, "\n") || absl::ConsumeSuffix(&raw, "\r")) {
      }
      if (!raw.empty()) {
        TRIBUTARY_RETURN_IF_ERROR(visitor_.unreadable(
            {line_, absl::StrCat("row has ", it->second.actual, " values, columns=", it->second.expected), std::string(raw)}));
      }
    }
    return absl::OkStatus();
  }

  struct Invalid {
    int32_t expected = 0;
    int32_t actual = 0;
    std::string raw;
  };

  ByteSource& source_;
  const v1::ImportMapping& mapping_;
  const absl::Span<const std::string> columns_;
  const RowVisitor& visitor_;
  int64_t line_ = 0;                         // Of the row visited last.
  std::map<int64_t, Invalid> unreadable_;    // By line; Arrow reports them before it hands out the rows after them.
};

}  // namespace

absl::Status ReadCsv(ByteSource& source, const v1::ImportMapping& mapping, absl::Span<const std::string> columns,
                     const RowVisitor& visitor) {
  return CsvPass(source, mapping, columns, visitor).Run();
}

}  // namespace tributary::batch
