#ifndef TRIBUTARY_BATCH_LAYER_IMPORT_HEAD_NOUNS_H_
#define TRIBUTARY_BATCH_LAYER_IMPORT_HEAD_NOUNS_H_

#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tributary::batch {

// Derives a category from a title: the last strong word before the first cut word, else the last weak one, else the same
// of the whole title. deploy/sample_data/README.md states the algorithm and the format of the word list.
// Threads: const calls from any thread.
class HeadNouns {
 public:
  // NotFound names the path; InvalidArgument the line: unknown keyword, a word in two lines.
  static absl::StatusOr<HeadNouns> Load(const std::string& path);
  static absl::StatusOr<HeadNouns> Parse(absl::string_view text);

  // Empty: no word of the title is in the list. Valid as long as this object.
  absl::string_view CategoryOf(absl::string_view title) const;

 private:
  enum class Kind { kStrong, kWeak };
  struct Entry {
    Kind kind = Kind::kStrong;
    std::string category;
  };

  absl::flat_hash_map<std::string, Entry> words_;
  absl::flat_hash_set<std::string> cut_;
};

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_IMPORT_HEAD_NOUNS_H_
