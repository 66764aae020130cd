#include "common/process/file_lock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "tests/fakes/temp_dir.h"

namespace tributary {
namespace {

using testing::HasSubstr;

class FileLockTest : public testing::Test {
 protected:
  const TempDir dir_;
  const std::string path_ = dir_.Join("LOCK");
};

TEST_F(FileLockTest, OneAtATimeAndTheMessageNamesTheHolder) {
  auto lock = FileLock::Acquire(path_);
  ASSERT_TRUE(lock.ok()) << lock.status();
  const absl::Status second = FileLock::Acquire(path_).status();
  EXPECT_TRUE(absl::IsAborted(second)) << second;
  EXPECT_THAT(std::string(second.message()), HasSubstr(absl::StrCat("path=", path_, " pid=", getpid())));
  lock->reset();
  EXPECT_TRUE(FileLock::Acquire(path_).ok());
}

TEST_F(FileLockTest, GoesWithAProcessThatIsKilled) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto lock = FileLock::Acquire(path_);
    const char held = lock.ok() ? 'y' : 'n';
    if (write(ready[1], &held, 1) == 1) {
      pause();
    }
    _exit(1);
  }
  char held = 'n';
  ASSERT_EQ(read(ready[0], &held, 1), 1);
  EXPECT_EQ(held, 'y');
  EXPECT_TRUE(absl::IsAborted(FileLock::Acquire(path_).status()));
  ASSERT_EQ(kill(child, SIGKILL), 0);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(FileLock::Acquire(path_).ok());
  close(ready[0]);
  close(ready[1]);
}

TEST_F(FileLockTest, AMissingFolderIsNamed) {
  const absl::Status status = FileLock::Acquire(dir_.Join("none/LOCK")).status();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("none/LOCK"));
}

}  // namespace
}  // namespace tributary
