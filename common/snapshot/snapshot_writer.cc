#include <glog/logging.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message_lite.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/snapshot/files.h"
#include "common/snapshot/format.h"
#include "common/snapshot/manifest.h"
#include "common/snapshot/snapshot.h"
#include "common/snapshot/sst_view_writer.h"
#include "common/snapshot/user_records.h"
#include "common/status/status_macros.h"

namespace tributary {
namespace {

namespace format = snapshot_format;
using format::View;

constexpr size_t kUsersBufferBytes = size_t{1} << 20;

// Appends the message's deterministic form. InvalidArgument: 2 GiB or more.
absl::Status AppendMessage(const google::protobuf::MessageLite& message, std::string* bytes) {
  const size_t size = message.ByteSizeLong();
  if (size > size_t{std::numeric_limits<int32_t>::max()}) {
    return absl::InvalidArgumentError(absl::StrCat("snapshot value too large: size_bytes=", size));
  }
  // A StringOutputStream would fill all that the string has room for with zeros, for every message.
  const size_t before = bytes->size();
  bytes->resize(before + size);
  google::protobuf::io::ArrayOutputStream stream(bytes->data() + before, static_cast<int>(size));
  google::protobuf::io::CodedOutputStream output(&stream);
  output.SetSerializationDeterministic(true);
  message.SerializeWithCachedSizes(&output);
  return absl::OkStatus();
}

absl::Status CheckScore(float score) {
  if (!std::isfinite(score) || score < 0) {
    return absl::InvalidArgumentError(absl::StrCat("snapshot score not finite and >= 0: score=", score));
  }
  return absl::OkStatus();
}

class Writer : public SnapshotWriter {
 public:
  Writer(std::string snapshots_dir, Generation generation, files::DirectoryLock lock, int64_t target_file_bytes)
      : snapshots_dir_(std::move(snapshots_dir)),
        generation_(generation),
        partial_(absl::StrCat(SnapshotPath(snapshots_dir_, generation), format::kPartialSuffix)),
        lock_(std::move(lock)) {
    for (View view : format::ViewsOf(kSnapshotFormatVersion)) {
      views_.push_back(std::make_unique<SstViewWriter>(view, TablesDir(), target_file_bytes));
    }
  }

  // Gives the disk space of an unfinished snapshot back.
  ~Writer() override {
    if (!finished_) {
      if (const absl::Status status = files::RemoveAll(partial_); !status.ok()) {
        LOG(WARNING) << status.message();
      }
    }
  }

  std::string FilePath(absl::string_view name) const { return absl::StrCat(partial_, "/", name); }
  std::string TablesDir() const { return FilePath("tables"); }

  absl::Status WriteItems(absl::Span<const v1::Item> items) override;
  absl::Status WriteNeighbours(absl::Span<const std::vector<ScoredItem>> neighbours) override;
  absl::Status WriteFactors(const SnapshotFactors& factors) override;
  absl::Status WriteSessions(const SessionIndex& sessions) override;

  absl::Status PutUser(absl::string_view user_id, const v1::SnapshotUser& user) override {
    if (user_id.empty()) {
      return absl::InvalidArgumentError("snapshot user without id");
    }
    TRIBUTARY_RETURN_IF_ERROR(CheckList(user.list(), "user list"));
    for (uint32_t item : user.profile().items()) {
      SeeItem(item, "profile");
    }
    return AppendUser(user_id, user);
  }

  absl::Status PutForgottenUser(absl::string_view user_digest, int64_t until_unix_ms) override {
    v1::SnapshotUser user;
    user.mutable_profile()->set_forgotten_until_unix_ms(until_unix_ms);
    return AppendUser(format::ForgottenUserKey(user_digest), user);
  }

  absl::Status PutPopular(absl::string_view scope, const v1::ScoredItems& items) override {
    TRIBUTARY_RETURN_IF_ERROR(CheckList(items, "popularity"));
    return Put(View::kPopularity, scope, items);
  }

  absl::Status PutCount(const CountKey& key, const v1::CountTotal& total) override {
    TRIBUTARY_ASSIGN_OR_RETURN(const std::string bytes, format::EncodeCountKey(key));
    return Put(View::kCounts, bytes, total);
  }

  absl::Status PutCutCounts(PartitionId partition, const v1::LiveCounts& counts) override {
    TRIBUTARY_ASSIGN_OR_RETURN(const std::string bytes, format::EncodePartition(partition));
    return Put(View::kCutCounts, bytes, counts);
  }

  absl::StatusOr<v1::SnapshotManifest> Finish(v1::SnapshotManifest manifest) override;

 private:
  // Item numbers are checked against the item table at the end, since views may be written before it.
  void SeeItem(uint32_t item, absl::string_view where) {
    if (!largest_item_ || item > *largest_item_) {
      largest_item_ = item;
      largest_item_where_ = std::string(where);
    }
  }

  absl::Status CheckList(const v1::ScoredItems& list, absl::string_view where) {
    if (list.items_size() != list.scores_size()) {
      return absl::InvalidArgumentError(absl::StrCat("snapshot list with unequal arrays: view=", where, " items=",
                                                     list.items_size(), " scores=", list.scores_size()));
    }
    for (int i = 0; i < list.items_size(); ++i) {
      TRIBUTARY_RETURN_IF_ERROR(CheckScore(list.scores(i)));
      SeeItem(list.items(i), where);
    }
    return absl::OkStatus();
  }

  absl::Status Put(View view, absl::string_view key, const google::protobuf::MessageLite& message) {
    value_.clear();
    TRIBUTARY_RETURN_IF_ERROR(AppendMessage(message, &value_));
    const auto of_view =
        std::find_if(views_.begin(), views_.end(), [view](const auto& v) { return v->view() == view; });
    return (*of_view)->Put(key, value_);
  }

  absl::Status AppendUser(absl::string_view key, const v1::SnapshotUser& user);
  absl::Status FlushUsers();
  // Ends users.bin and writes the index of what is in it.
  absl::Status FinishUsers(std::vector<std::string>* digest_lines);

  absl::Status WriteFlat(absl::string_view name, absl::string_view prefix, absl::string_view entries,
                         std::optional<std::string>* digest_line) {
    if (digest_line->has_value()) {
      return absl::FailedPreconditionError(absl::StrCat("snapshot file written twice: file=", name));
    }
    TRIBUTARY_RETURN_IF_ERROR(files::Write(FilePath(name), {prefix, entries}));
    format::PartDigest digest;
    digest.AddBytes(prefix);
    digest.AddBytes(entries);
    *digest_line = digest.Line(name);
    return absl::OkStatus();
  }

  // Size and checksum of every file, each synced, and their directories.
  absl::Status ListAndSync(v1::SnapshotManifest* manifest) const;

  const std::string snapshots_dir_;
  const Generation generation_;
  const std::string partial_;
  files::DirectoryLock lock_;
  std::vector<std::unique_ptr<SstViewWriter>> views_;
  std::string value_;
  std::optional<files::Appender> users_file_;  // From the first user on.
  std::string users_;                          // That are not in the file yet.
  std::string last_user_;
  format::PartDigest users_digest_;
  std::optional<std::string> items_line_;
  std::optional<std::string> neighbours_line_;
  std::optional<std::string> factors_line_;
  std::optional<std::string> sessions_line_;
  uint64_t item_count_ = 0;
  uint64_t neighbour_lists_ = 0;
  uint64_t factor_rows_ = 0;
  uint64_t session_items_ = 0;
  std::optional<uint32_t> largest_item_;
  std::string largest_item_where_;
  bool finished_ = false;
};

absl::Status Writer::WriteItems(absl::Span<const v1::Item> items) {
  std::string entries;
  std::vector<uint64_t> offsets = {0};
  offsets.reserve(items.size() + 1);
  for (const v1::Item& item : items) {
    TRIBUTARY_RETURN_IF_ERROR(AppendMessage(item, &entries));
    offsets.push_back(entries.size());
  }
  item_count_ = items.size();
  return WriteFlat(format::kItemsFile, format::EncodeFlatPrefix(format::kItemsMagic, offsets), entries, &items_line_);
}

absl::Status Writer::WriteNeighbours(absl::Span<const std::vector<ScoredItem>> neighbours) {
  std::vector<ScoredItem> entries;
  std::vector<uint64_t> offsets = {0};
  offsets.reserve(neighbours.size() + 1);
  for (const std::vector<ScoredItem>& list : neighbours) {
    for (const ScoredItem& neighbour : list) {
      TRIBUTARY_RETURN_IF_ERROR(CheckScore(neighbour.score));
      SeeItem(Value(neighbour.item), "neighbours");
    }
    entries.insert(entries.end(), list.begin(), list.end());
    offsets.push_back(entries.size());
  }
  neighbour_lists_ = neighbours.size();
  const absl::string_view bytes(reinterpret_cast<const char*>(entries.data()), entries.size() * sizeof(ScoredItem));
  return WriteFlat(format::kNeighboursFile, format::EncodeFlatPrefix(format::kNeighboursMagic, offsets), bytes,
                   &neighbours_line_);
}

absl::Status Writer::WriteFactors(const SnapshotFactors& factors) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string prefix, format::EncodeFactorsPrefix(factors));
  factor_rows_ = factors.items;
  const absl::string_view bytes(reinterpret_cast<const char*>(factors.values.data()),
                                factors.values.size() * sizeof(float));
  return WriteFlat(format::kFactorsFile, prefix, bytes, &factors_line_);
}

absl::Status Writer::WriteSessions(const SessionIndex& sessions) {
  session_items_ = sessions.items();
  return WriteFlat(format::kSessionsFile, format::EncodeSessions(sessions), "", &sessions_line_);
}

absl::Status Writer::AppendUser(absl::string_view key, const v1::SnapshotUser& user) {
  if (key <= last_user_) {
    return absl::InvalidArgumentError(absl::StrCat("snapshot keys out of order: view=users key=", absl::CHexEscape(key),
                                                   " before=", absl::CHexEscape(last_user_)));
  }
  TRIBUTARY_RETURN_IF_ERROR(format::AppendUserRecord(key, user, &users_));
  last_user_.assign(key.data(), key.size());
  return users_.size() < kUsersBufferBytes ? absl::OkStatus() : FlushUsers();
}

absl::Status Writer::FlushUsers() {
  if (!users_file_) {
    TRIBUTARY_ASSIGN_OR_RETURN(users_file_, files::Appender::Create(FilePath(format::kUsersFile)));
  }
  TRIBUTARY_RETURN_IF_ERROR(users_file_->Append(users_));
  users_digest_.AddBytes(users_);
  users_.clear();
  return absl::OkStatus();
}

absl::Status Writer::FinishUsers(std::vector<std::string>* digest_lines) {
  TRIBUTARY_RETURN_IF_ERROR(FlushUsers());
  TRIBUTARY_RETURN_IF_ERROR(users_file_->Finish());
  digest_lines->push_back(users_digest_.Line(format::kUsersFile));
  TRIBUTARY_ASSIGN_OR_RETURN(const files::MappedFile records, files::MappedFile::Open(FilePath(format::kUsersFile)));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string index, format::EncodeUserIndex(records.bytes()));
  std::optional<std::string> line;
  TRIBUTARY_RETURN_IF_ERROR(WriteFlat(format::kUserIndexFile, index, "", &line));
  digest_lines->push_back(*std::move(line));
  return absl::OkStatus();
}

absl::Status Writer::ListAndSync(v1::SnapshotManifest* manifest) const {
  manifest->clear_files();
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<std::string> names, files::ListFiles(partial_));
  for (const std::string& name : names) {
    const std::string path = FilePath(name);
    TRIBUTARY_RETURN_IF_ERROR(files::Sync(path));
    TRIBUTARY_ASSIGN_OR_RETURN(const int64_t size, files::Size(path));
    TRIBUTARY_ASSIGN_OR_RETURN(const uint64_t checksum, files::Checksum(path));
    v1::SnapshotFile* file = manifest->add_files();
    file->set_path(name);
    file->set_size_bytes(size);
    file->set_xxh64(checksum);
  }
  return files::Sync(FilePath(format::kDatabaseDir));
}

absl::StatusOr<v1::SnapshotManifest> Writer::Finish(v1::SnapshotManifest manifest) {
  if (!items_line_ || !neighbours_line_) {
    return absl::FailedPreconditionError(absl::StrCat(
        "snapshot incomplete: generation=", Value(generation_), " items=", items_line_ ? "written" : "missing",
        " neighbours=", neighbours_line_ ? "written" : "missing"));
  }
  if (neighbour_lists_ != item_count_) {
    return absl::InvalidArgumentError(absl::StrCat("snapshot has not one neighbour list an item: generation=",
                                                   Value(generation_), " items=", item_count_, " lists=", neighbour_lists_));
  }
  if (factors_line_ && factor_rows_ != item_count_) {
    return absl::InvalidArgumentError(absl::StrCat("snapshot has not one row of factors an item: generation=",
                                                   Value(generation_), " items=", item_count_, " rows=", factor_rows_));
  }
  if (sessions_line_ && session_items_ != item_count_) {
    return absl::InvalidArgumentError(
        absl::StrCat("snapshot's session index is of other items: generation=", Value(generation_),
                     " items=", item_count_, " indexed=", session_items_));
  }
  if (largest_item_ && *largest_item_ >= item_count_) {
    return absl::InvalidArgumentError(absl::StrCat("snapshot item number out of range: generation=", Value(generation_),
                                                   " view=", largest_item_where_, " item=", *largest_item_,
                                                   " items=", item_count_));
  }
  std::vector<std::string> digest_lines;
  for (const std::unique_ptr<SstViewWriter>& view : views_) {
    TRIBUTARY_RETURN_IF_ERROR(view->Finish());
    digest_lines.push_back(view->digest().Line(ViewName(view->view())));
  }
  TRIBUTARY_RETURN_IF_ERROR(FinishUsers(&digest_lines));
  digest_lines.push_back(*items_line_);
  digest_lines.push_back(*neighbours_line_);
  if (factors_line_) {
    digest_lines.push_back(*factors_line_);
  }
  if (sessions_line_) {
    digest_lines.push_back(*sessions_line_);
  }
  TRIBUTARY_RETURN_IF_ERROR(BuildDatabase(FilePath(format::kDatabaseDir), views_));
  TRIBUTARY_RETURN_IF_ERROR(files::RemoveAll(TablesDir()));

  manifest.set_format_version(kSnapshotFormatVersion);
  manifest.set_generation(Value(generation_));
  manifest.set_content_digest(format::ContentDigest(digest_lines));
  TRIBUTARY_RETURN_IF_ERROR(ListAndSync(&manifest));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string json, ManifestToJson(manifest));
  TRIBUTARY_RETURN_IF_ERROR(files::Write(FilePath(format::kManifestFile), {json}));
  TRIBUTARY_RETURN_IF_ERROR(files::Sync(partial_));
  TRIBUTARY_RETURN_IF_ERROR(files::Rename(partial_, SnapshotPath(snapshots_dir_, generation_)));
  finished_ = true;
  TRIBUTARY_RETURN_IF_ERROR(files::Sync(snapshots_dir_));
  return ManifestFromJson(json);
}

}  // namespace

std::string PopularCategoryScope(absl::string_view category) { return absl::StrCat("category:", category); }
std::string PopularSegmentScope(absl::string_view segment) { return absl::StrCat(kPopularSegmentPrefix, segment); }

absl::StatusOr<std::unique_ptr<SnapshotWriter>> SnapshotWriter::Create(const std::string& snapshots_dir,
                                                                       Generation generation, int64_t target_file_bytes) {
  if (Value(generation) <= 0 || target_file_bytes <= 0) {
    return absl::InvalidArgumentError(absl::StrCat("snapshot writer argument out of range: generation=", Value(generation),
                                                   " target_file_bytes=", target_file_bytes));
  }
  const std::string path = SnapshotPath(snapshots_dir, generation);
  const std::string partial = absl::StrCat(path, format::kPartialSuffix);
  TRIBUTARY_RETURN_IF_ERROR(files::CreateDirectories(partial));
  // Held until the writer is done: tells a leftover from a directory that another process is writing.
  TRIBUTARY_ASSIGN_OR_RETURN(files::DirectoryLock lock, files::DirectoryLock::TryAcquire(partial));
  if (files::MayExist(path)) {
    TRIBUTARY_RETURN_IF_ERROR(files::RemoveAll(partial));
    return absl::AlreadyExistsError(absl::StrCat("snapshot already there: generation=", Value(generation), " path=", path));
  }
  TRIBUTARY_RETURN_IF_ERROR(files::ClearDirectory(partial));
  auto writer = std::make_unique<Writer>(snapshots_dir, generation, std::move(lock), target_file_bytes);
  TRIBUTARY_RETURN_IF_ERROR(files::CreateDirectories(writer->TablesDir()));
  return writer;
}

}  // namespace tributary
