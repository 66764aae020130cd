#include <google/protobuf/util/json_util.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/snapshot/manifest.h"
#include "common/snapshot/snapshot.h"
#include "tests/common/snapshot/sample.h"
#include "tests/fakes/temp_dir.h"

// Damage of every kind is found, and answered by one clear status.
namespace tributary {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr Generation kGeneration{42};
constexpr int64_t kCacheBytes = 1 << 20;
using Verify = SnapshotReader::Verify;

void WriteFile(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

class DamageTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(sample::Write(dir_, kGeneration, 40).ok());
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(snapshot_)) {
      if (entry.is_regular_file()) {
        files_.insert(fs::relative(entry.path(), snapshot_).string());
      }
    }
    ASSERT_GE(files_.size(), 12u);  // Manifest, six flat files, tables of three views, RocksDB's own.
    ASSERT_TRUE(files_.contains("users.bin") && files_.contains("user_index.bin"));
  }

  absl::Status Open(Verify verify) const {
    return SnapshotReader::Open(dir_, kGeneration, verify, kCacheBytes).status();
  }

  void ExpectNotListed() const {
    const auto list = SnapshotStore(dir_).List();
    ASSERT_TRUE(list.ok());
    EXPECT_TRUE(list->empty());
  }

  // Rewrites the manifest, with the right checksum of its own.
  void ChangeManifest(const std::function<void(v1::SnapshotManifest&)>& change) {
    auto manifest = ManifestFromJson(ReadText(snapshot_ / "MANIFEST.json"));
    ASSERT_TRUE(manifest.ok());
    change(*manifest);
    const auto json = ManifestToJson(*manifest);
    ASSERT_TRUE(json.ok());
    WriteFile(snapshot_ / "MANIFEST.json", *json);
  }

  const TempDir temp_;
  const std::string& dir_ = temp_.path();
  const fs::path snapshot_ = fs::path(dir_) / "42";
  std::set<std::string> files_;
};

TEST_F(DamageTest, AFlippedByteInAnyFileIsFound) {
  for (const std::string& file : files_) {
    const std::string good = ReadText(snapshot_ / file);
    if (good.empty()) {
      continue;   // RocksDB's write-ahead log; a byte more is found below.
    }
    for (size_t at : {size_t{0}, good.size() / 4, good.size() / 2, good.size() * 3 / 4, good.size() - 1}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ 0x10);
      WriteFile(snapshot_ / file, bad);
      for (Verify verify : {Verify::kChecksums, Verify::kDigest}) {
        const absl::Status status = Open(verify);
        EXPECT_TRUE(absl::IsDataLoss(status)) << file << " at " << at << ": " << status;
        EXPECT_THAT(status.message(), HasSubstr("generation=42"));
        EXPECT_THAT(status.message(), HasSubstr(absl::StrCat("file=", file)));
      }
      // Without checksums a flip may go unseen, but must end neither the opening nor a read.
      if (const auto reader = SnapshotReader::Open(dir_, kGeneration, Verify::kManifest, kCacheBytes); reader.ok()) {
        EXPECT_NE(file, "MANIFEST.json");
        sample::Difference(**reader, 40);
      }
    }
    WriteFile(snapshot_ / file, good);
  }
  EXPECT_TRUE(Open(Verify::kDigest).ok());
}

TEST_F(DamageTest, AnyByteOfTheManifestCounts) {
  const std::string good = ReadText(snapshot_ / "MANIFEST.json");
  for (size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x01);
    EXPECT_FALSE(ManifestFromJson(bad).ok()) << "at " << at;
  }
  EXPECT_TRUE(ManifestFromJson(good).ok());
}

TEST_F(DamageTest, AShortLongOrMissingFileIsFoundWithoutReadingIt) {
  for (const std::string& file : files_) {
    const std::string good = ReadText(snapshot_ / file);
    std::vector<std::string> bad = {good + "x"};
    if (!good.empty()) {
      bad.push_back(good.substr(0, good.size() - 1));
      bad.push_back(good.substr(0, good.size() / 2));
      bad.push_back("");
    }
    for (const std::string& bytes : bad) {
      WriteFile(snapshot_ / file, bytes);
      const absl::Status status = Open(Verify::kManifest);
      EXPECT_TRUE(absl::IsDataLoss(status)) << file << ": " << status;
      EXPECT_THAT(status.message(), HasSubstr(absl::StrCat("file=", file)));
      ExpectNotListed();
    }
    fs::remove(snapshot_ / file);
    const absl::Status status = Open(Verify::kManifest);
    EXPECT_EQ(status.code(), file == "MANIFEST.json" ? absl::StatusCode::kNotFound : absl::StatusCode::kDataLoss) << status;
    ExpectNotListed();
    WriteFile(snapshot_ / file, good);
  }
  EXPECT_TRUE(Open(Verify::kManifest).ok());
}

TEST_F(DamageTest, ANewerFormatIsRefusedAsSuch) {
  ChangeManifest([](v1::SnapshotManifest& manifest) { manifest.set_format_version(kSnapshotFormatVersion + 1); });
  const absl::Status status = Open(Verify::kManifest);
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(status.message(), HasSubstr("newer format"));
  EXPECT_THAT(status.message(), HasSubstr("generation=42"));
  ExpectNotListed();

  // Also when it has fields that this build does not know.
  WriteFile(snapshot_ / "MANIFEST.json", R"({"formatVersion": 7, "generation": "42", "shards": [{"a": 1}]})");
  EXPECT_TRUE(absl::IsFailedPrecondition(Open(Verify::kManifest)));
}

TEST_F(DamageTest, AManifestThatStatesAWrongChecksumIsRefused) {
  ChangeManifest([](v1::SnapshotManifest& manifest) { manifest.mutable_files(0)->set_xxh64(1); });
  EXPECT_TRUE(Open(Verify::kManifest).ok());
  const absl::Status status = Open(Verify::kChecksums);
  EXPECT_TRUE(absl::IsDataLoss(status));
  EXPECT_THAT(status.message(), HasSubstr("expected=0000000000000001"));
}

TEST_F(DamageTest, AManifestThatStatesAWrongDigestIsRefused) {
  ChangeManifest([](v1::SnapshotManifest& manifest) { manifest.set_content_digest(std::string(32, '0')); });
  EXPECT_TRUE(Open(Verify::kChecksums).ok());
  const absl::Status status = Open(Verify::kDigest);
  EXPECT_TRUE(absl::IsDataLoss(status));
  EXPECT_THAT(status.message(), HasSubstr("content digest"));
}

TEST_F(DamageTest, AManifestMustListWhatEverySnapshotHas) {
  const std::string good = ReadText(snapshot_ / "MANIFEST.json");
  ChangeManifest([](v1::SnapshotManifest& manifest) { manifest.clear_files(); });
  EXPECT_THAT(Open(Verify::kManifest).message(), HasSubstr("does not list"));
  WriteFile(snapshot_ / "MANIFEST.json", good);
  ChangeManifest([](v1::SnapshotManifest& manifest) { manifest.mutable_files(0)->set_path("../43/items.bin"); });
  EXPECT_THAT(Open(Verify::kManifest).message(), HasSubstr("outside the snapshot"));
  WriteFile(snapshot_ / "MANIFEST.json", good);
  ChangeManifest([](v1::SnapshotManifest& manifest) { manifest.set_generation(43); });
  EXPECT_THAT(Open(Verify::kManifest).message(), HasSubstr("another generation"));
}

TEST_F(DamageTest, AForeignFileInTheDatabaseIsRefused) {
  WriteFile(snapshot_ / "db" / "000099.log", "x");
  EXPECT_THAT(Open(Verify::kManifest).message(), HasSubstr("not in the manifest"));
}

TEST_F(DamageTest, GarbageForAManifestIsRefused) {
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("null"), std::string("[]"), std::string("{}"), std::string("\xff\xfe\0", 3),
        std::string(R"({"formatVersion": "x"})"), std::string(R"({"formatVersion": 1, "generation": "42"})"),
        std::string(100'000, '['), std::string(100'000, '{')}) {
    WriteFile(snapshot_ / "MANIFEST.json", text);
    const absl::Status status = Open(Verify::kManifest);
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_THAT(status.message(), HasSubstr("file=MANIFEST.json"));
    ExpectNotListed();
  }
}

TEST_F(DamageTest, AMissingDirectoryIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(SnapshotReader::Open(dir_, Generation{43}, Verify::kDigest, kCacheBytes).status()));
  EXPECT_TRUE(absl::IsNotFound(SnapshotReader::Open(dir_ + "/none", kGeneration, Verify::kDigest, kCacheBytes).status()));
  EXPECT_TRUE(absl::IsNotFound(SnapshotStore(dir_ + "/none").List().status()));
}

}  // namespace
}  // namespace tributary
