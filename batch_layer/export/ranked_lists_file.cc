#include "batch_layer/export/ranked_lists_file.h"

#include <arrow/api.h>
#include <arrow/io/file.h>
#include <arrow/util/io_util.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/writer.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/status/status_macros.h"

namespace tributary::batch {
namespace {

constexpr int64_t kRowGroupRows = 1024 * 1024;

enum Column : int { kKey, kRank, kItem, kScore, kColumnCount };

absl::string_view View(const arrow::Array& array, int64_t i) {
  const std::string_view view = static_cast<const arrow::StringArray&>(array).GetView(i);
  return {view.data(), view.size()};
}

class Writer final : public RankedListsWriter {
 public:
  Writer(std::string path, const std::string& key_column, const std::string& item_column)
      : path_(std::move(path)),
        schema_(arrow::schema({arrow::field(key_column, arrow::utf8(), false), arrow::field("rank", arrow::int32(), false),
                               arrow::field(item_column, arrow::utf8(), false),
                               arrow::field("score", arrow::float32(), false)})) {}

  absl::Status Open() { return Checked(OpenFile()); }
  absl::Status Append(const RankedItem& row) override { return Checked(AppendRow(row)); }
  absl::Status Finish() override { return Checked(Close()); }

 private:
  absl::Status Checked(const arrow::Status& status) const {
    if (status.ok()) {
      return absl::OkStatus();
    }
    const std::string message = absl::StrCat("export cannot be written: path=", path_, " cause=", status.message());
    const int error = arrow::internal::ErrnoFromStatus(status);
    const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG || status.IsOutOfMemory();
    return full ? absl::ResourceExhaustedError(message) : absl::UnavailableError(message);
  }

  arrow::Status OpenFile() {
    parquet::WriterProperties::Builder properties;
    properties.compression(arrow::Compression::ZSTD)->version(parquet::ParquetVersion::PARQUET_2_6)->created_by("tributary");
    properties.disable_dictionary("score");
    ARROW_ASSIGN_OR_RAISE(file_, arrow::io::FileOutputStream::Open(path_));
    ARROW_ASSIGN_OR_RAISE(
        writer_, parquet::arrow::FileWriter::Open(*schema_, arrow::default_memory_pool(), file_, properties.build()));
    return arrow::Status::OK();
  }

  arrow::Status AppendRow(const RankedItem& row) {
    ARROW_RETURN_NOT_OK(keys_.Append(row.key.data(), static_cast<int32_t>(row.key.size())));
    ARROW_RETURN_NOT_OK(ranks_.Append(row.rank));
    ARROW_RETURN_NOT_OK(items_.Append(row.item.data(), static_cast<int32_t>(row.item.size())));
    ARROW_RETURN_NOT_OK(scores_.Append(row.score));
    return ++rows_ == kRowGroupRows ? WriteGroup() : arrow::Status::OK();
  }

  arrow::Status WriteGroup() {
    std::vector<std::shared_ptr<arrow::Array>> arrays;
    for (arrow::ArrayBuilder* builder : std::initializer_list<arrow::ArrayBuilder*>{&keys_, &ranks_, &items_, &scores_}) {
      ARROW_ASSIGN_OR_RAISE(arrays.emplace_back(), builder->Finish());
    }
    const auto batch = arrow::RecordBatch::Make(schema_, std::exchange(rows_, 0), std::move(arrays));
    ARROW_RETURN_NOT_OK(writer_->NewBufferedRowGroup());
    return writer_->WriteRecordBatch(*batch);
  }

  arrow::Status Close() {
    if (rows_ > 0) {
      ARROW_RETURN_NOT_OK(WriteGroup());
    }
    ARROW_RETURN_NOT_OK(writer_->Close());
    ARROW_RETURN_NOT_OK(file_->Flush());
    if (::fsync(file_->file_descriptor()) != 0) {
      return arrow::internal::IOErrorFromErrno(errno, "fsync failed");
    }
    return file_->Close();
  }

  const std::string path_;
  const std::shared_ptr<arrow::Schema> schema_;
  std::shared_ptr<arrow::io::FileOutputStream> file_;
  std::unique_ptr<parquet::arrow::FileWriter> writer_;
  arrow::StringBuilder keys_, items_;
  arrow::Int32Builder ranks_;
  arrow::FloatBuilder scores_;
  int64_t rows_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<RankedListsWriter>> RankedListsWriter::Create(const std::string& path,
                                                                             const std::string& key_column,
                                                                             const std::string& item_column) {
  auto writer = std::make_unique<Writer>(path, key_column, item_column);
  TRIBUTARY_RETURN_IF_ERROR(writer->Open());
  return writer;
}

absl::Status ReadRankedLists(const std::string& path, const std::function<absl::Status(const RankedItem&)>& visit) {
  const auto unreadable = [&path](const arrow::Status& status) {
    return absl::DataLossError(absl::StrCat("export is unreadable: path=", path, " cause=", status.message()));
  };
  const auto file = arrow::io::ReadableFile::Open(path);
  if (!file.ok()) {
    return unreadable(file.status());
  }
  auto reader = parquet::arrow::OpenFile(*file, arrow::default_memory_pool());
  if (!reader.ok()) {
    return unreadable(reader.status());
  }
  const auto batches = (*reader)->GetRecordBatchReader();
  if (!batches.ok()) {
    return unreadable(batches.status());
  }
  const arrow::Type::type types[kColumnCount] = {arrow::Type::STRING, arrow::Type::INT32, arrow::Type::STRING, arrow::Type::FLOAT};
  for (;;) {
    std::shared_ptr<arrow::RecordBatch> batch;
    if (const arrow::Status status = (*batches)->ReadNext(&batch); !status.ok()) {
      return unreadable(status);
    }
    if (batch == nullptr) {
      return absl::OkStatus();
    }
    bool fits = batch->num_columns() == kColumnCount;
    for (int column = 0; fits && column < kColumnCount; ++column) {
      fits = batch->column(column)->type_id() == types[column] && batch->column(column)->null_count() == 0;
    }
    if (!fits) {
      return unreadable(arrow::Status::Invalid("another schema"));
    }
    for (int64_t i = 0; i < batch->num_rows(); ++i) {
      TRIBUTARY_RETURN_IF_ERROR(visit({View(*batch->column(kKey), i),
                                       static_cast<const arrow::Int32Array&>(*batch->column(kRank)).Value(i),
                                       View(*batch->column(kItem), i),
                                       static_cast<const arrow::FloatArray&>(*batch->column(kScore)).Value(i)}));
    }
  }
}

}  // namespace tributary::batch
