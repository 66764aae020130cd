#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/slice.h>
#include <rocksdb/table.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/event/user_digest.h"
#include "common/snapshot/files.h"
#include "common/snapshot/format.h"
#include "common/snapshot/manifest.h"
#include "common/snapshot/rocksdb_adapter.h"
#include "common/snapshot/snapshot.h"
#include "common/snapshot/user_records.h"
#include "common/status/status_macros.h"

namespace tributary {
namespace {

namespace format = snapshot_format;
using format::View;

constexpr size_t kScanReadaheadBytes = size_t{2} << 20;

rocksdb::Slice Slice(absl::string_view text) { return {text.data(), text.size()}; }
absl::string_view Text(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

absl::Status AddContext(const absl::Status& status, absl::string_view what, Generation generation, absl::string_view file) {
  return absl::Status(status.code(), absl::StrCat(what, ": generation=", Value(generation), " file=", file,
                                                  " error=", status.message()));
}

class Reader : public SnapshotReader {
 public:
  Reader(v1::SnapshotManifest manifest, std::string path)
      : manifest_(std::move(manifest)), path_(std::move(path)), generation_(Generation{manifest_.generation()}) {
    for (const v1::PartitionWatermark& watermark : manifest_.watermarks()) {
      watermarks_[PartitionId{watermark.partition()}] = Offset{watermark.watermark()};
    }
  }

  ~Reader() override {
    if (db_ != nullptr) {
      for (rocksdb::ColumnFamilyHandle* family : all_families_) {
        db_->DestroyColumnFamilyHandle(family);
      }
    }
  }

  absl::Status CheckChecksums();
  absl::Status OpenFlatFiles();
  absl::Status OpenUsers();
  absl::Status OpenDatabase(int64_t block_cache_bytes);
  absl::Status CheckDigest() const;

  const v1::SnapshotManifest& manifest() const override { return manifest_; }
  Generation generation() const override { return generation_; }
  Offset Watermark(PartitionId partition) const override {
    const auto found = watermarks_.find(partition);
    return found == watermarks_.end() ? Offset{0} : found->second;
  }

  uint32_t item_count() const override { return items_.count(); }

  absl::StatusOr<v1::Item> ReadItem(ItemNumber number) const override {
    const uint32_t i = Value(number);
    if (i >= item_count()) {
      return absl::InvalidArgumentError(absl::StrCat("item number out of range: generation=", Value(generation_),
                                                     " item=", i, " items=", item_count()));
    }
    const uint64_t size = items_.offsets[i + 1] - items_.offsets[i];
    v1::Item item;
    if (size > size_t{std::numeric_limits<int>::max()} ||
        !item.ParseFromArray(items_.entries + items_.offsets[i], static_cast<int>(size))) {
      return absl::DataLossError(absl::StrCat("snapshot item unreadable: generation=", Value(generation_), " file=",
                                              format::kItemsFile, " item=", i, " offset=",
                                              items_.entries - items_file_.bytes().data() + items_.offsets[i]));
    }
    return item;
  }

  absl::Span<const ScoredItem> Neighbours(ItemNumber number) const override {
    const uint32_t i = Value(number);
    if (i >= neighbours_.count()) {
      return {};
    }
    const auto* entries = reinterpret_cast<const ScoredItem*>(neighbours_.entries);
    return absl::MakeConstSpan(entries + neighbours_.offsets[i], entries + neighbours_.offsets[i + 1]);
  }

  const SnapshotFactors* factors() const override { return factors_ ? &*factors_ : nullptr; }
  const SessionIndex* sessions() const override { return sessions_ ? &*sessions_ : nullptr; }

  void PrefetchUser(absl::string_view user_id) const override {
    if (users_) {
      users_->Prefetch(user_id);
    }
  }
  absl::StatusOr<bool> ReadUser(absl::string_view user_id, StoredUser* user) const override;
  absl::Status FindUser(absl::string_view user_id, v1::SnapshotUser* user) const override;
  absl::Status FindPopular(absl::string_view scope, v1::ScoredItems* items) const override {
    return Find(View::kPopularity, scope, items);
  }
  absl::Status FindCount(const CountKey& key, v1::CountTotal* total) const override {
    TRIBUTARY_ASSIGN_OR_RETURN(const std::string bytes, format::EncodeCountKey(key));
    return Find(View::kCounts, bytes, total);
  }
  absl::Status FindCutCounts(PartitionId partition, v1::LiveCounts* counts) const override {
    TRIBUTARY_ASSIGN_OR_RETURN(const std::string bytes, format::EncodePartition(partition));
    return Find(View::kCutCounts, bytes, counts);
  }

  absl::Status ForEachUser(
      const std::function<absl::Status(absl::string_view, const v1::SnapshotUser&)>& visit) const override;
  absl::Status ForEachPopular(
      const std::function<absl::Status(absl::string_view, const v1::ScoredItems&)>& visit) const override {
    return ForEachMessage<v1::ScoredItems>(View::kPopularity, visit);
  }
  absl::Status ForEachCount(
      const std::function<absl::Status(const CountKey&, const v1::CountTotal&)>& visit) const override {
    return ForEachMessage<v1::CountTotal>(
        View::kCounts, [&](absl::string_view bytes, const v1::CountTotal& total) -> absl::Status {
          TRIBUTARY_ASSIGN_OR_RETURN(const CountKey key, format::DecodeCountKey(bytes));
          return visit(key, total);
        });
  }

 private:
  std::string FilePath(absl::string_view file) const { return absl::StrCat(path_, "/", file); }
  std::string Where(View view) const {
    return absl::StrCat("generation=", Value(generation_), " view=", ViewName(view));
  }
  absl::Status Unreadable(View view, absl::string_view key) const {
    return absl::DataLossError(absl::StrCat("snapshot value unreadable: ", Where(view), " key=", absl::CHexEscape(key)));
  }

  // Null: no such user. From version 3 on.
  absl::StatusOr<std::optional<format::UserRecord>> FindRecord(absl::string_view user_id) const;
  // In the column family, up to version 2.
  absl::Status FindUserMessage(absl::string_view user_id, v1::SnapshotUser* user) const;
  absl::Status InUsers(const absl::Status& status) const {
    return status.ok() ? status : AddContext(status, "snapshot user unreadable", generation_, format::kUsersFile);
  }

  // A file that a snapshot may be without.
  template <typename Parsed>
  absl::Status OpenOptional(absl::string_view name, absl::StatusOr<Parsed> (*parse)(absl::string_view),
                            files::MappedFile* file, std::optional<Parsed>* parsed);

  template <typename Message>
  static bool Parse(const rocksdb::Slice& value, Message* message) {
    return value.size() <= size_t{std::numeric_limits<int>::max()} &&
           message->ParseFromArray(value.data(), static_cast<int>(value.size()));
  }

  template <typename Message>
  absl::Status Find(View view, absl::string_view key, Message* message) const {
    rocksdb::PinnableSlice value;
    rocksdb::ReadOptions options;
    options.verify_checksums = !verified_;
    const rocksdb::Status status = db_->Get(options, families_[static_cast<size_t>(view)], Slice(key), &value);
    if (status.IsNotFound()) {
      return absl::NotFoundError(absl::StrCat("no such key in the snapshot: ", Where(view)));
    }
    if (!status.ok()) {
      return FromRocksdb(status, absl::StrCat("snapshot read failed: ", Where(view)));
    }
    return Parse(value, message) ? absl::OkStatus() : Unreadable(view, key);
  }

  absl::Status ForEach(View view, const std::function<absl::Status(absl::string_view, const rocksdb::Slice&)>& visit) const;

  template <typename Message, typename Visit>
  absl::Status ForEachMessage(View view, const Visit& visit) const {
    Message message;
    return ForEach(view, [&](absl::string_view key, const rocksdb::Slice& value) {
      return Parse(value, &message) ? visit(key, message) : Unreadable(view, key);
    });
  }

  const v1::SnapshotManifest manifest_;
  const std::string path_;
  const Generation generation_;
  std::map<PartitionId, Offset> watermarks_;
  files::MappedFile items_file_;
  files::MappedFile neighbours_file_;
  files::MappedFile factors_file_;
  files::MappedFile sessions_file_;
  format::FlatFile items_;
  format::FlatFile neighbours_;
  std::optional<SnapshotFactors> factors_;
  std::optional<SessionIndex> sessions_;
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> all_families_;
  std::array<rocksdb::ColumnFamilyHandle*, format::kAllViews.size()> families_{};  // By View.
  files::MappedFile users_file_;
  files::MappedFile user_index_file_;
  std::optional<format::UserIndex> users_;  // From version 3 on.
  bool any_forgotten_ = false;   // Else a miss is a miss.
  bool verified_ = false;        // Every file was, as a whole.
};

absl::Status Reader::CheckChecksums() {
  for (const v1::SnapshotFile& file : manifest_.files()) {
    const absl::StatusOr<uint64_t> checksum = files::Checksum(FilePath(file.path()));
    if (!checksum.ok()) {
      return AddContext(checksum.status(), "snapshot file unreadable", generation_, file.path());
    }
    if (*checksum != file.xxh64()) {
      return absl::DataLossError(absl::StrFormat(
          "snapshot file differs from its checksum: generation=%d file=%s size_bytes=%d xxh64=%016x expected=%016x",
          Value(generation_), file.path(), file.size_bytes(), *checksum, file.xxh64()));
    }
  }
  verified_ = true;
  return absl::OkStatus();
}

template <typename Parsed>
absl::Status Reader::OpenOptional(absl::string_view name, absl::StatusOr<Parsed> (*parse)(absl::string_view),
                                  files::MappedFile* file, std::optional<Parsed>* parsed) {
  if (std::none_of(manifest_.files().begin(), manifest_.files().end(),
                   [&](const v1::SnapshotFile& listed) { return listed.path() == name; })) {
    return absl::OkStatus();
  }
  TRIBUTARY_ASSIGN_OR_RETURN(*file, files::MappedFile::Open(FilePath(name)));
  absl::StatusOr<Parsed> result = parse(file->bytes());
  if (!result.ok()) {
    return AddContext(result.status(), "snapshot file unreadable", generation_, name);
  }
  *parsed = *result;
  return absl::OkStatus();
}

absl::Status Reader::OpenFlatFiles() {
  const auto open = [this](absl::string_view name, absl::string_view magic, uint64_t entry_size, files::MappedFile* file,
                           format::FlatFile* parsed) -> absl::Status {
    TRIBUTARY_ASSIGN_OR_RETURN(*file, files::MappedFile::Open(FilePath(name)));
    absl::StatusOr<format::FlatFile> result = format::ParseFlatFile(file->bytes(), magic, entry_size);
    if (!result.ok()) {
      return AddContext(result.status(), "snapshot file unreadable", generation_, name);
    }
    *parsed = *result;
    return absl::OkStatus();
  };
  TRIBUTARY_RETURN_IF_ERROR(open(format::kItemsFile, format::kItemsMagic, 1, &items_file_, &items_));
  TRIBUTARY_RETURN_IF_ERROR(
      open(format::kNeighboursFile, format::kNeighboursMagic, sizeof(ScoredItem), &neighbours_file_, &neighbours_));
  if (neighbours_.count() != items_.count()) {
    return absl::DataLossError(absl::StrCat("snapshot has not one neighbour list an item: generation=", Value(generation_),
                                            " items=", items_.count(), " lists=", neighbours_.count()));
  }
  TRIBUTARY_RETURN_IF_ERROR(OpenOptional(format::kFactorsFile, format::ParseFactorsFile, &factors_file_, &factors_));
  TRIBUTARY_RETURN_IF_ERROR(
      OpenOptional(format::kSessionsFile, format::ParseSessionsFile, &sessions_file_, &sessions_));
  if (format::HasUserFiles(manifest_.format_version())) {
    TRIBUTARY_RETURN_IF_ERROR(OpenUsers());
  }
  for (const auto& [file, items] : {std::pair(format::kFactorsFile, factors_ ? factors_->items : items_.count()),
                                    {format::kSessionsFile, sessions_ ? sessions_->items() : items_.count()}}) {
    if (items != items_.count()) {
      return absl::DataLossError(absl::StrCat("snapshot file is of other items: generation=", Value(generation_),
                                              " file=", file, " items=", items, " expected=", items_.count()));
    }
  }
  return absl::OkStatus();
}

absl::Status Reader::OpenUsers() {
  TRIBUTARY_ASSIGN_OR_RETURN(users_file_, files::MappedFile::Open(FilePath(format::kUsersFile)));
  TRIBUTARY_ASSIGN_OR_RETURN(user_index_file_, files::MappedFile::Open(FilePath(format::kUserIndexFile)));
  absl::StatusOr<format::UserIndex> users = format::UserIndex::Parse(user_index_file_.bytes(), users_file_.bytes());
  if (!users.ok()) {
    return AddContext(users.status(), "snapshot file unreadable", generation_, format::kUserIndexFile);
  }
  users_ = *users;
  if (!users_file_.bytes().empty()) {
    const auto first = format::UserRecord::Parse(users_file_.bytes());
    TRIBUTARY_RETURN_IF_ERROR(InUsers(first.status()));
    any_forgotten_ = format::IsForgottenUserKey(first->key());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<format::UserRecord>> Reader::FindRecord(absl::string_view user_id) const {
  absl::StatusOr<std::optional<format::UserRecord>> found = users_->Find(user_id);
  if (any_forgotten_ && found.ok() && !found->has_value()) {
    found = users_->Find(format::ForgottenUserKey(UserDigest(user_id)));
  }
  return found.ok() ? found : InUsers(found.status());
}

absl::Status Reader::FindUserMessage(absl::string_view user_id, v1::SnapshotUser* user) const {
  absl::Status found = Find(View::kUsers, user_id, user);
  if (any_forgotten_ && absl::IsNotFound(found)) {
    found = Find(View::kUsers, format::ForgottenUserKey(UserDigest(user_id)), user);
  }
  return found;
}

absl::StatusOr<bool> Reader::ReadUser(absl::string_view user_id, StoredUser* user) const {
  if (users_) {
    TRIBUTARY_ASSIGN_OR_RETURN(const std::optional<format::UserRecord> record, FindRecord(user_id));
    if (!record) {
      return false;
    }
    user->list = record->list();
    user->list_falls = record->list_falls();
    TRIBUTARY_RETURN_IF_ERROR(InUsers(record->ReadHistory(&user->decisions, &user->history)));
    return true;
  }
  const absl::Status found = FindUserMessage(user_id, &user->message);
  if (absl::IsNotFound(found)) {
    return false;
  }
  TRIBUTARY_RETURN_IF_ERROR(found);
  const v1::ScoredItems& list = user->message.list();
  if (list.items_size() != list.scores_size()) {
    return absl::DataLossError(absl::StrCat("snapshot list with unequal arrays: ", Where(View::kUsers),
                                            " items=", list.items_size(), " scores=", list.scores_size()));
  }
  user->scored.resize(static_cast<size_t>(list.items_size()));
  for (int i = 0; i < list.items_size(); ++i) {
    user->scored[static_cast<size_t>(i)] = {.item = ItemNumber{list.items(i)}, .score = list.scores(i)};
  }
  user->list = user->scored;
  user->list_falls = false;
  const absl::Status profile = user->history.Assign(user->message.profile());
  return profile.ok() ? absl::StatusOr<bool>(true) : Unreadable(View::kUsers, user_id);
}

absl::Status Reader::FindUser(absl::string_view user_id, v1::SnapshotUser* user) const {
  if (!users_) {
    return FindUserMessage(user_id, user);
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const std::optional<format::UserRecord> record, FindRecord(user_id));
  return record ? InUsers(record->ToProto(user))
                : absl::NotFoundError(absl::StrCat("no such key in the snapshot: ", Where(View::kUsers)));
}

absl::Status Reader::ForEachUser(
    const std::function<absl::Status(absl::string_view, const v1::SnapshotUser&)>& visit) const {
  const auto visit_user = [&](absl::string_view key, const v1::SnapshotUser& user) {
    return format::IsForgottenUserKey(key) ? absl::OkStatus() : visit(key, user);
  };
  if (!users_) {
    return ForEachMessage<v1::SnapshotUser>(View::kUsers, visit_user);
  }
  v1::SnapshotUser user;
  absl::Status visited;  // An error of `visit` is the caller's, and goes out as it is.
  const absl::Status walked = users_->ForEach([&](const format::UserRecord& record) -> absl::Status {
    TRIBUTARY_RETURN_IF_ERROR(record.ToProto(&user));
    visited = visit_user(record.key(), user);
    return visited;
  });
  return visited.ok() ? InUsers(walked) : visited;
}

absl::Status Reader::OpenDatabase(int64_t block_cache_bytes) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(static_cast<size_t>(block_cache_bytes));
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  rocksdb::Options options;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.info_log = RocksdbLogger();
  options.allow_mmap_reads = true;   // What is not compressed is found where it lies.
  options.max_open_files = -1;   // Indexes and filters of all files are read now, not by the first request.
  options.max_file_opening_threads = 1;   // By default 16 threads start for each column family, for files that are mapped.
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  // Ingested files carry no unique id of this database; the manifest's checksums say more than one would.
  options.verify_sst_unique_id_in_manifest = false;
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors = {{rocksdb::kDefaultColumnFamilyName, options}};
  const absl::Span<const View> views = format::ViewsOf(manifest_.format_version());
  for (const View view : views) {
    descriptors.emplace_back(std::string(ViewName(view)), options);
  }
  rocksdb::DB* opened = nullptr;
  const rocksdb::Status status =
      rocksdb::DB::OpenForReadOnly(options, FilePath(format::kDatabaseDir), descriptors, &all_families_, &opened);
  if (!status.ok()) {
    // Whatever RocksDB calls it, these files are not what the writer left.
    return absl::DataLossError(absl::StrCat("snapshot database unreadable: generation=", Value(generation_), " file=",
                                            format::kDatabaseDir, " error=", status.ToString()));
  }
  db_.reset(opened);
  for (size_t i = 0; i < views.size(); ++i) {
    families_[static_cast<size_t>(views[i])] = all_families_[i + 1];
  }
  if (users_) {
    return absl::OkStatus();
  }
  const std::unique_ptr<rocksdb::Iterator> first(
      db_->NewIterator(rocksdb::ReadOptions(), families_[static_cast<size_t>(View::kUsers)]));
  first->SeekToFirst();
  any_forgotten_ = first->Valid() && format::IsForgottenUserKey(Text(first->key()));
  return absl::OkStatus();
}

absl::Status Reader::ForEach(View view,
                             const std::function<absl::Status(absl::string_view, const rocksdb::Slice&)>& visit) const {
  rocksdb::ReadOptions options;
  options.fill_cache = false;   // A scan does not push out what requests use.
  options.readahead_size = kScanReadaheadBytes;
  const std::unique_ptr<rocksdb::Iterator> pair(db_->NewIterator(options, families_[static_cast<size_t>(view)]));
  for (pair->SeekToFirst(); pair->Valid(); pair->Next()) {
    TRIBUTARY_RETURN_IF_ERROR(visit(Text(pair->key()), pair->value()));
  }
  return FromRocksdb(pair->status(), absl::StrCat("snapshot scan failed: ", Where(view)));
}

absl::Status Reader::CheckDigest() const {
  std::vector<std::string> lines;
  for (const View view : format::ViewsOf(manifest_.format_version())) {
    format::PartDigest digest;
    TRIBUTARY_RETURN_IF_ERROR(ForEach(view, [&](absl::string_view key, const rocksdb::Slice& value) {
      digest.AddPair(key, Text(value));
      return absl::OkStatus();
    }));
    lines.push_back(digest.Line(ViewName(view)));
  }
  const auto add = [&lines](absl::string_view name, const files::MappedFile& file) {
    format::PartDigest digest;
    digest.AddBytes(file.bytes());
    lines.push_back(digest.Line(name));
  };
  if (users_) {
    add(format::kUsersFile, users_file_);
    add(format::kUserIndexFile, user_index_file_);
    TRIBUTARY_RETURN_IF_ERROR(InUsers(users_->Check(item_count())));
  }
  add(format::kItemsFile, items_file_);
  add(format::kNeighboursFile, neighbours_file_);
  if (factors_) {
    add(format::kFactorsFile, factors_file_);
  }
  if (sessions_) {
    add(format::kSessionsFile, sessions_file_);
  }
  if (const std::string digest = format::ContentDigest(lines); digest != manifest_.content_digest()) {
    return absl::DataLossError(absl::StrCat("snapshot differs from its content digest: generation=", Value(generation_),
                                            " content_digest=", digest, " expected=", manifest_.content_digest()));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<SnapshotReader>> SnapshotReader::Open(const std::string& snapshots_dir,
                                                                     Generation generation, Verify verify,
                                                                     int64_t block_cache_bytes) {
  if (block_cache_bytes < 0) {
    return absl::InvalidArgumentError(absl::StrCat("block cache size out of range: block_cache_bytes=", block_cache_bytes));
  }
  const std::string path = SnapshotPath(snapshots_dir, generation);
  TRIBUTARY_ASSIGN_OR_RETURN(v1::SnapshotManifest manifest, ReadCompleteManifest(path, generation));
  auto reader = std::make_unique<Reader>(std::move(manifest), path);
  if (verify != Verify::kManifest) {
    TRIBUTARY_RETURN_IF_ERROR(reader->CheckChecksums());
  }
  TRIBUTARY_RETURN_IF_ERROR(reader->OpenFlatFiles());
  TRIBUTARY_RETURN_IF_ERROR(reader->OpenDatabase(block_cache_bytes));
  if (verify == Verify::kDigest) {
    TRIBUTARY_RETURN_IF_ERROR(reader->CheckDigest());
  }
  return reader;
}

}  // namespace tributary
