#include "batch_layer/history/parquet_file.h"

#include <arrow/api.h>
#include <arrow/io/file.h>
#include <arrow/util/io_util.h>
#include <fcntl.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/writer.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/status/status_macros.h"

// The only file that knows Parquet.
namespace tributary::batch {
namespace {

constexpr int64_t kRowGroupRows = 256 * 1024;

enum Column : int {
  kPartition, kOffset, kRecordTime, kEventTime, kType, kUserId, kItemId, kPage, kCategory, kQuery, kSessionId,
  kEventIdHash, kValue, kQuantity, kAnonymous, kAttributes, kExperimentBucket, kColumnCount,
};

std::shared_ptr<arrow::Schema> Schema() {
  const auto required = [](const char* name, std::shared_ptr<arrow::DataType> type) {
    return arrow::field(name, std::move(type), /*nullable=*/false);
  };
  return arrow::schema({
      required("partition", arrow::int32()),
      required("offset", arrow::int64()),
      required("record_time_unix_ms", arrow::int64()),
      required("event_time_unix_ms", arrow::int64()),
      required("type", arrow::int32()),
      required("user_id", arrow::utf8()),
      required("item_id", arrow::utf8()),
      required("page", arrow::utf8()),
      required("category", arrow::utf8()),
      required("query", arrow::utf8()),
      required("session_id", arrow::utf8()),
      required("event_id_hash", arrow::int64()),
      required("value_micros", arrow::int64()),
      required("quantity_micros", arrow::int64()),
      required("anonymous", arrow::boolean()),
      required("attributes", arrow::map(arrow::utf8(), arrow::field("value", arrow::utf8(), false))),
      required("experiment_bucket", arrow::utf8()),
  });
}

absl::Status ToStatus(const arrow::Status& status, const std::string& path, const char* what) {
  const std::string message = absl::StrCat(what, ": path=", path, " cause=", status.message());
  const int error = arrow::internal::ErrnoFromStatus(status);
  if (error == ENOSPC || error == EDQUOT || error == EFBIG || status.IsOutOfMemory()) {
    return absl::ResourceExhaustedError(message);
  }
  return absl::UnavailableError(message);
}

// Builders of one row group, in the order of Column.
class RowGroup {
 public:
  RowGroup() : attributes_(arrow::default_memory_pool(), keys_, values_, Schema()->field(kAttributes)->type()) {}

  arrow::Status Append(const HistoryEvent& row) {
    const Event& event = row.event;
    ARROW_RETURN_NOT_OK(partition_.Append(Value(row.position.partition)));
    ARROW_RETURN_NOT_OK(offset_.Append(Value(row.position.offset)));
    ARROW_RETURN_NOT_OK(record_time_.Append(row.record_time_unix_ms));
    ARROW_RETURN_NOT_OK(event_time_.Append(event.event_time_unix_ms));
    ARROW_RETURN_NOT_OK(type_.Append(static_cast<int32_t>(event.type)));
    ARROW_RETURN_NOT_OK(user_id_.Append(event.user_id));
    ARROW_RETURN_NOT_OK(item_id_.Append(event.item_id));
    ARROW_RETURN_NOT_OK(page_.Append(event.page));
    ARROW_RETURN_NOT_OK(category_.Append(event.category));
    ARROW_RETURN_NOT_OK(query_.Append(event.query));
    ARROW_RETURN_NOT_OK(session_id_.Append(event.session_id));
    ARROW_RETURN_NOT_OK(event_id_hash_.Append(static_cast<int64_t>(event.event_id_hash)));
    ARROW_RETURN_NOT_OK(value_.Append(event.value_micros));
    ARROW_RETURN_NOT_OK(quantity_.Append(event.quantity_micros));
    ARROW_RETURN_NOT_OK(anonymous_.Append(event.anonymous));
    ARROW_RETURN_NOT_OK(attributes_.Append());
    for (const auto& [key, value] : event.attributes) {
      ARROW_RETURN_NOT_OK(keys_->Append(key));
      ARROW_RETURN_NOT_OK(values_->Append(value));
    }
    return experiment_bucket_.Append(event.experiment_bucket);
  }

  arrow::Result<std::shared_ptr<arrow::RecordBatch>> Finish(const std::shared_ptr<arrow::Schema>& schema, int64_t rows) {
    std::vector<std::shared_ptr<arrow::Array>> arrays;
    for (arrow::ArrayBuilder* builder : std::initializer_list<arrow::ArrayBuilder*>{
             &partition_, &offset_, &record_time_, &event_time_, &type_, &user_id_, &item_id_, &page_, &category_, &query_,
             &session_id_, &event_id_hash_, &value_, &quantity_, &anonymous_, &attributes_, &experiment_bucket_}) {
      ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Array> array, builder->Finish());
      arrays.push_back(std::move(array));
    }
    return arrow::RecordBatch::Make(schema, rows, std::move(arrays));
  }

 private:
  arrow::Int32Builder partition_;
  arrow::Int64Builder offset_, record_time_, event_time_;
  arrow::Int32Builder type_;
  arrow::StringBuilder user_id_, item_id_, page_, category_, query_, session_id_;
  arrow::Int64Builder event_id_hash_, value_, quantity_;
  arrow::BooleanBuilder anonymous_;
  std::shared_ptr<arrow::StringBuilder> keys_ = std::make_shared<arrow::StringBuilder>();
  std::shared_ptr<arrow::StringBuilder> values_ = std::make_shared<arrow::StringBuilder>();
  arrow::MapBuilder attributes_;
  arrow::StringBuilder experiment_bucket_;
};

class ParquetFileWriter final : public ParquetWriter {
 public:
  explicit ParquetFileWriter(const std::string& path) : path_(path) {}

  absl::Status Open() { return Checked(OpenFile()); }
  absl::Status Append(const HistoryEvent& event) override { return Checked(AppendRow(event)); }
  absl::Status Finish() override { return Checked(Close()); }

 private:
  absl::Status Checked(const arrow::Status& status) const {
    return status.ok() ? absl::OkStatus() : ToStatus(status, path_, "history file cannot be written");
  }

  arrow::Status OpenFile() {
    parquet::WriterProperties::Builder properties;
    properties.compression(arrow::Compression::ZSTD)->version(parquet::ParquetVersion::PARQUET_2_6);
    // A file is a function of its events: nothing of the machine or the time goes in.
    properties.created_by("tributary");
    for (const char* column : {"offset", "record_time_unix_ms", "event_time_unix_ms"}) {
      properties.disable_dictionary(column)->encoding(column, parquet::Encoding::DELTA_BINARY_PACKED);
    }
    properties.disable_dictionary("event_id_hash");
    ARROW_ASSIGN_OR_RAISE(file_, arrow::io::FileOutputStream::Open(path_));
    ARROW_ASSIGN_OR_RAISE(
        writer_, parquet::arrow::FileWriter::Open(*schema_, arrow::default_memory_pool(), file_, properties.build()));
    return arrow::Status::OK();
  }

  arrow::Status AppendRow(const HistoryEvent& event) {
    ARROW_RETURN_NOT_OK(group_.Append(event));
    return ++rows_ == kRowGroupRows ? WriteGroup() : arrow::Status::OK();
  }

  arrow::Status WriteGroup() {
    ARROW_ASSIGN_OR_RAISE(const auto batch, group_.Finish(schema_, rows_));
    rows_ = 0;
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
  const std::shared_ptr<arrow::Schema> schema_ = Schema();
  std::shared_ptr<arrow::io::FileOutputStream> file_;
  std::unique_ptr<parquet::arrow::FileWriter> writer_;
  RowGroup group_;
  int64_t rows_ = 0;              // In `group_`.
};

// Leaves of the Parquet schema to read: those of `columns` and the four that are always there.
std::vector<int> Leaves(const HistoryColumns& c) {
  std::vector<int> leaves = {kPartition, kOffset, kRecordTime, kEventTime, kType};
  const auto add = [&leaves](bool wanted, std::initializer_list<int> which) {
    if (wanted) {
      leaves.insert(leaves.end(), which);
    }
  };
  add(c.user_id, {kUserId});
  add(c.item_id, {kItemId});
  add(c.page, {kPage});
  add(c.category, {kCategory});
  add(c.query, {kQuery});
  add(c.session_id, {kSessionId});
  add(c.event_id_hash, {kEventIdHash});
  add(c.amounts, {kValue, kQuantity});
  add(c.anonymous, {kAnonymous});
  add(c.attributes, {kAttributes, kAttributes + 1});     // A map has two leaves: key and value.
  add(c.experiment_bucket, {kExperimentBucket + 1});
  return leaves;
}

// The columns of one batch; null where not read.
class BatchView {
 public:
  // False: a column has another type than the schema's.
  bool Bind(const arrow::RecordBatch& batch) {
    static const std::shared_ptr<arrow::Schema> schema = Schema();
    std::fill(std::begin(arrays_), std::end(arrays_), nullptr);
    for (int i = 0; i < batch.num_columns(); ++i) {
      const int column = schema->GetFieldIndex(batch.column_name(i));
      if (column < 0 || batch.column(i)->type_id() != schema->field(column)->type()->id() || batch.column(i)->null_count() > 0) {
        return false;
      }
      arrays_[column] = batch.column(i).get();
    }
    return std::all_of(arrays_, arrays_ + kType + 1, [](const arrow::Array* array) { return array != nullptr; });
  }

  void Read(int64_t i, HistoryEvent* row) const {
    Event& event = row->event;
    row->position.partition = PartitionId{Number<arrow::Int32Array>(kPartition, i)};
    row->position.offset = Offset{Number<arrow::Int64Array>(kOffset, i)};
    row->record_time_unix_ms = Number<arrow::Int64Array>(kRecordTime, i);
    event.event_time_unix_ms = Number<arrow::Int64Array>(kEventTime, i);
    event.type = static_cast<EventType>(Number<arrow::Int32Array>(kType, i));
    Text(kUserId, i, &event.user_id);
    Text(kItemId, i, &event.item_id);
    Text(kPage, i, &event.page);
    Text(kCategory, i, &event.category);
    Text(kQuery, i, &event.query);
    Text(kSessionId, i, &event.session_id);
    Text(kExperimentBucket, i, &event.experiment_bucket);
    event.event_id_hash = static_cast<uint64_t>(Number<arrow::Int64Array>(kEventIdHash, i));
    event.value_micros = Number<arrow::Int64Array>(kValue, i);
    event.quantity_micros = Number<arrow::Int64Array>(kQuantity, i);
    event.anonymous = arrays_[kAnonymous] != nullptr && static_cast<const arrow::BooleanArray*>(arrays_[kAnonymous])->Value(i);
    event.attributes.clear();
    if (arrays_[kAttributes] != nullptr) {
      const auto& map = *static_cast<const arrow::MapArray*>(arrays_[kAttributes]);
      const auto& keys = static_cast<const arrow::StringArray&>(*map.keys());
      const auto& values = static_cast<const arrow::StringArray&>(*map.items());
      for (int64_t k = map.value_offset(i); k < map.value_offset(i + 1); ++k) {
        event.attributes.emplace_back(keys.GetString(k), values.GetString(k));
      }
    }
  }

 private:
  template <typename ArrayType>
  typename ArrayType::value_type Number(Column column, int64_t i) const {
    return arrays_[column] == nullptr ? 0 : static_cast<const ArrayType*>(arrays_[column])->Value(i);
  }
  void Text(Column column, int64_t i, std::string* text) const {
    if (arrays_[column] == nullptr) {
      text->clear();
    } else {
      const std::string_view view = static_cast<const arrow::StringArray*>(arrays_[column])->GetView(i);
      text->assign(view.data(), view.size());
    }
  }

  const arrow::Array* arrays_[kColumnCount] = {};
};

}  // namespace

absl::StatusOr<std::unique_ptr<ParquetWriter>> ParquetWriter::Create(const std::string& path) {
  auto writer = std::make_unique<ParquetFileWriter>(path);
  TRIBUTARY_RETURN_IF_ERROR(writer->Open());
  return writer;
}

absl::Status WriteParquetFile(const std::string& path, absl::Span<const HistoryEvent> events) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<ParquetWriter> writer, ParquetWriter::Create(path));
  for (const HistoryEvent& event : events) {
    TRIBUTARY_RETURN_IF_ERROR(writer->Append(event));
  }
  return writer->Finish();
}

absl::Status ReadParquetFile(const std::string& path, const HistoryColumns& columns,
                             const std::function<absl::Status(const HistoryEvent&)>& visit) {
  const auto unreadable = [&path](const arrow::Status& status) {
    return absl::DataLossError(absl::StrCat("history file is unreadable: path=", path, " cause=", status.message()));
  };
  const auto file = arrow::io::ReadableFile::Open(path);
  if (!file.ok()) {
    return unreadable(file.status());
  }
  auto reader = parquet::arrow::OpenFile(*file, arrow::default_memory_pool());
  if (!reader.ok()) {
    return unreadable(reader.status());
  }
  std::vector<int> groups((*reader)->num_row_groups());
  for (size_t i = 0; i < groups.size(); ++i) {
    groups[i] = static_cast<int>(i);
  }
  const auto batches = (*reader)->GetRecordBatchReader(groups, Leaves(columns));
  if (!batches.ok()) {
    return unreadable(batches.status());
  }
  BatchView view;
  HistoryEvent row;
  for (;;) {
    std::shared_ptr<arrow::RecordBatch> batch;
    if (const arrow::Status status = (*batches)->ReadNext(&batch); !status.ok()) {
      return unreadable(status);
    }
    if (batch == nullptr) {
      return absl::OkStatus();
    }
    if (!view.Bind(*batch)) {
      return unreadable(arrow::Status::Invalid("another schema"));
    }
    for (int64_t i = 0; i < batch->num_rows(); ++i) {
      view.Read(i, &row);
      if (absl::Status status = visit(row); !status.ok()) {
        return status;
      }
    }
  }
}

}  // namespace tributary::batch
