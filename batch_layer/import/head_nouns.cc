#include "batch_layer/import/head_nouns.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/types/span.h"

namespace tributary::batch {
namespace {

std::vector<std::string> Tokens(absl::string_view title) {
  std::vector<std::string> tokens(1);
  for (const char c : title) {
    const char upper = absl::ascii_toupper(static_cast<unsigned char>(c));
    if (absl::ascii_isalnum(static_cast<unsigned char>(upper))) {
      tokens.back().push_back(upper);
    } else if (c != '\'' && !tokens.back().empty()) {
      tokens.emplace_back();
    }
  }
  if (tokens.back().empty()) {
    tokens.pop_back();
  }
  return tokens;
}

}  // namespace

absl::StatusOr<HeadNouns> HeadNouns::Load(const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    return absl::NotFoundError(absl::StrCat("word list cannot be opened: path=", path));
  }
  std::stringstream text;
  text << file.rdbuf();
  absl::StatusOr<HeadNouns> nouns = Parse(text.str());
  if (!nouns.ok()) {
    return absl::Status(nouns.status().code(), absl::StrCat(nouns.status().message(), " path=", path));
  }
  return nouns;
}

absl::StatusOr<HeadNouns> HeadNouns::Parse(absl::string_view text) {
  HeadNouns nouns;
  int number = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    const std::vector<std::string> words = absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
    if (words.empty() || words[0][0] == '#' || words[0] == "not_product") {
      continue;
    }
    const bool noun = words[0] == "strong" || words[0] == "weak";
    if ((!noun && words[0] != "cut") || words.size() < (noun ? 3u : 2u)) {
      return absl::InvalidArgumentError(absl::StrCat("word list has a malformed line: line=", number));
    }
    for (size_t i = noun ? 2 : 1; i < words.size(); ++i) {
      const bool added = noun ? nouns.words_.try_emplace(words[i], Entry{words[0] == "strong" ? Kind::kStrong : Kind::kWeak, words[1]}).second
                              : nouns.cut_.insert(words[i]).second;
      if (!added) {
        return absl::InvalidArgumentError(absl::StrCat("word list has a word twice: line=", number, " word=", words[i]));
      }
    }
  }
  return nouns;
}

absl::string_view HeadNouns::CategoryOf(absl::string_view title) const {
  const std::vector<std::string> tokens = Tokens(title);
  const size_t head = static_cast<size_t>(
      std::find_if(tokens.begin(), tokens.end(), [this](const std::string& t) { return cut_.contains(t); }) - tokens.begin());
  for (const size_t end : {head, tokens.size()}) {
    for (const Kind kind : {Kind::kStrong, Kind::kWeak}) {
      for (size_t i = end; i-- > 0;) {
        auto entry = i > 0 ? words_.find(absl::StrCat(tokens[i - 1], "_", tokens[i])) : words_.end();
        if (entry == words_.end()) {
          entry = words_.find(tokens[i]);
        }
        if (entry != words_.end() && entry->second.kind == kind) {
          return entry->second.category;
        }
      }
    }
  }
  return "";
}

}  // namespace tributary::batch
