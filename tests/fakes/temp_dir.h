#ifndef TRIBUTARY_TESTS_FAKES_TEMP_DIR_H_
#define TRIBUTARY_TESTS_FAKES_TEMP_DIR_H_

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "glog/logging.h"

namespace tributary {

// A new directory that goes with the object.
class TempDir {
 public:
  // `name` is the beginning of its name.
  explicit TempDir(const std::string& name = "tributary") {
    std::string path = (std::filesystem::temp_directory_path() / (name + "-XXXXXX")).string();
    CHECK(::mkdtemp(path.data()) != nullptr) << path;
    path_ = path;
  }
  ~TempDir() {
    std::error_code ignored;
    if (!kept_) std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  // Stays for somebody to look into.
  void Keep() { kept_ = true; }

  const std::string& path() const { return path_; }
  std::string Join(const std::string& name) const { return path_ + "/" + name; }
  // Answers the file's path.
  std::string Write(const std::string& name, const std::string& content) const {
    std::ofstream file(Join(name), std::ios::binary | std::ios::trunc);
    file << content;
    CHECK(file.good());
    return Join(name);
  }

 private:
  std::string path_;
  bool kept_ = false;
};

inline std::string ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace tributary

#endif  // TRIBUTARY_TESTS_FAKES_TEMP_DIR_H_
