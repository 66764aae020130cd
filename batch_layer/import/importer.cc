#include "batch_layer/import/importer.h"

#include <filesystem>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "batch_layer/import/byte_source.h"
#include "batch_layer/import/catalogue_builder.h"
#include "batch_layer/import/mapping.h"
#include "batch_layer/import/record_reader.h"
#include "batch_layer/import/reject_file.h"
#include "common/event/event.h"
#include "common/status/status_macros.h"
#include "glog/logging.h"

namespace tributary::batch {
namespace {

constexpr size_t kAppendEvents = 10'000;
constexpr int64_t kProgressRows = 1'000'000;

// Where the rows of a file go.
class RowSink {
 public:
  virtual ~RowSink() = default;
  // A row that is an event within the time limits, as a message and validated.
  virtual absl::Status Accept(const Row& row, int64_t time_unix_ms, const v1::Event& message, Event event) = 0;
  virtual absl::Status Reject(int64_t line, absl::string_view reason, absl::string_view raw) = 0;
  // What any row that is an event says of its item.
  virtual void SeeItem(const MappedRow& row) = 0;
};

// One pass over the rows of one file.
class RowPass {
 public:
  RowPass(const ImportOptions& options, const RowMapper& mapper, RowSink& sink, ImportReport& report)
      : options_(options), mapper_(mapper), sink_(sink), report_(report) {}

  absl::Status Visit(const Row& row) {
    if (row.line % kProgressRows == 0) {
      LOG(INFO) << "import: " << row.line << " rows read, " << report_.accepted << " events accepted";
    }
    std::variant<MappedRow, SkippedRow, RejectedRow> mapped = mapper_.Map(row.values);
    if (std::holds_alternative<SkippedRow>(mapped)) {
      ++report_.skipped;
      return absl::OkStatus();
    }
    if (const RejectedRow* rejected = std::get_if<RejectedRow>(&mapped)) {
      return Reject(row.line, rejected->reason, row.raw());
    }
    MappedRow& accepted = std::get<MappedRow>(mapped);
    accepted.event.set_event_id(absl::StrFormat("%016x:%d", report_.xxh64, row.line));
    // The event's own time is its record time, so that nothing in a file is ahead of it.
    const int64_t time = accepted.event.event_time().seconds() * 1000 + accepted.event.event_time().nanos() / 1'000'000;
    std::variant<Event, Rejection> valid = ValidateEvent(accepted.event, time);
    if (const Rejection* rejection = std::get_if<Rejection>(&valid)) {
      return Reject(row.line, rejection->field.empty() ? rejection->reason : absl::StrCat(rejection->field, ": ", rejection->reason),
                    row.raw());
    }
    sink_.SeeItem(accepted);
    if ((options_.from && time < absl::ToUnixMillis(*options_.from)) ||
        (options_.until && time >= absl::ToUnixMillis(*options_.until))) {
      ++report_.outside;
      return absl::OkStatus();
    }
    ++report_.accepted;
    ++report_.by_type[v1::EventType_Name(accepted.event.type())];
    return sink_.Accept(row, time, accepted.event, std::move(std::get<Event>(valid)));
  }

  absl::Status Reject(int64_t line, absl::string_view reason, absl::string_view raw) {
    ++report_.rejected;
    return sink_.Reject(line, reason, raw);
  }

 private:
  const ImportOptions& options_;
  const RowMapper& mapper_;
  RowSink& sink_;
  ImportReport& report_;
};

absl::Status ReadRows(const ImportOptions& options, const v1::ImportMapping& mapping, RowSink& sink, ImportReport& report) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<RowMapper> mapper, RowMapper::Create(mapping));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> source, OpenFile(options.file));
  RowPass pass(options, *mapper, sink, report);
  const RowVisitor visitor{[&pass](const Row& row) { return pass.Visit(row); },
                           [&pass](const UnreadableRow& row) { return pass.Reject(row.line, row.reason, row.raw); }};
  return mapping.format() == v1::CSV ? ReadCsv(*source, mapping, mapper->columns(), visitor)
                                     : ReadJsonLines(*source, mapper->columns(), visitor);
}

// Into the history, in batches; what is rejected into the reject file.
class HistorySink final : public RowSink {
 public:
  HistorySink(CatalogueBuilder* catalogue, RejectFile& rejects, HistoryImport& import)
      : catalogue_(catalogue), rejects_(rejects), import_(import) {}

  absl::Status Accept(const Row& row, int64_t time_unix_ms, const v1::Event&, Event event) override {
    pending_.push_back(
        {{kImportPartition, Offset{(import_.ordinal() << kImportLineBits) | row.line}}, time_unix_ms, std::move(event)});
    return pending_.size() >= kAppendEvents ? Flush() : absl::OkStatus();
  }
  absl::Status Reject(int64_t line, absl::string_view reason, absl::string_view raw) override {
    return rejects_.Add(line, reason, raw);
  }
  void SeeItem(const MappedRow& row) override {
    if (catalogue_ != nullptr) {
      catalogue_->Add(row.catalogue);
    }
  }
  absl::Status Flush() {
    TRIBUTARY_RETURN_IF_ERROR(import_.Append(pending_));
    pending_.clear();
    return absl::OkStatus();
  }

 private:
  CatalogueBuilder* const catalogue_;     // Null: none is derived.
  RejectFile& rejects_;
  HistoryImport& import_;
  std::vector<HistoryEvent> pending_;
};

// To a function; what is rejected is only counted.
class VisitingSink final : public RowSink {
 public:
  explicit VisitingSink(const std::function<absl::Status(const v1::Event&)>& visit) : visit_(visit) {}

  absl::Status Accept(const Row&, int64_t, const v1::Event& message, Event) override { return visit_(message); }
  absl::Status Reject(int64_t, absl::string_view, absl::string_view) override { return absl::OkStatus(); }
  void SeeItem(const MappedRow&) override {}

 private:
  const std::function<absl::Status(const v1::Event&)>& visit_;
};

absl::StatusOr<std::optional<HeadNouns>> LoadNouns(const v1::ImportMapping& mapping, const std::string& mapping_file) {
  if (!mapping.catalogue().has_head_noun()) {
    return std::optional<HeadNouns>();
  }
  const std::filesystem::path path =
      std::filesystem::path(mapping_file).parent_path() / mapping.catalogue().head_noun().words_file();
  TRIBUTARY_ASSIGN_OR_RETURN(HeadNouns nouns, HeadNouns::Load(path.string()));
  return std::optional<HeadNouns>(std::move(nouns));
}

}  // namespace

absl::StatusOr<ImportReport> ImportFile(const ImportOptions& options, History& history) {
  TRIBUTARY_ASSIGN_OR_RETURN(const v1::ImportMapping mapping, LoadMapping(options.mapping_file));
  TRIBUTARY_ASSIGN_OR_RETURN(std::optional<HeadNouns> nouns, LoadNouns(mapping, options.mapping_file));
  TRIBUTARY_ASSIGN_OR_RETURN(const FileDigest digest, DigestFile(options.file));

  ImportReport report;
  report.xxh64 = digest.xxh64;
  if (history.HasImport(digest.xxh64)) {
    report.already_there = true;
    return report;
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<HistoryImport> import,
                             history.BeginImport(digest.xxh64, std::filesystem::path(options.file).filename().string()));
  RejectFile rejects(options.reject_file.empty() ? options.file + ".rejected.jsonl" : options.reject_file);
  std::optional<CatalogueBuilder> catalogue;
  if (mapping.has_catalogue()) {
    catalogue.emplace(mapping.catalogue(), std::move(nouns));
  }
  HistorySink sink(catalogue ? &*catalogue : nullptr, rejects, *import);
  TRIBUTARY_RETURN_IF_ERROR(ReadRows(options, mapping, sink, report));
  TRIBUTARY_RETURN_IF_ERROR(sink.Flush());
  TRIBUTARY_RETURN_IF_ERROR(rejects.Close());
  const std::vector<v1::Item> items = catalogue ? catalogue->Build() : std::vector<v1::Item>();
  TRIBUTARY_RETURN_IF_ERROR(import->Commit(report.rejected, items));
  report.forgotten = import->forgotten();
  report.items = static_cast<int64_t>(items.size());
  report.reject_file = rejects.rows() > 0 ? rejects.path() : "";
  return report;
}

absl::StatusOr<ImportReport> ConvertFile(const ImportOptions& options,
                                         const std::function<absl::Status(const v1::Event&)>& visit) {
  TRIBUTARY_ASSIGN_OR_RETURN(const v1::ImportMapping mapping, LoadMapping(options.mapping_file));
  TRIBUTARY_ASSIGN_OR_RETURN(const FileDigest digest, DigestFile(options.file));
  ImportReport report;
  report.xxh64 = digest.xxh64;
  VisitingSink sink(visit);
  TRIBUTARY_RETURN_IF_ERROR(ReadRows(options, mapping, sink, report));
  return report;
}

}  // namespace tributary::batch
