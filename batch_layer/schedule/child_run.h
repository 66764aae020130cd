#ifndef TRIBUTARY_BATCH_LAYER_SCHEDULE_CHILD_RUN_H_
#define TRIBUTARY_BATCH_LAYER_SCHEDULE_CHILD_RUN_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace tributary::batch {

// Runs this program with `arguments` in a process of its own and waits for it: what a run takes of memory goes back to
// the machine when it ends, and a run that crashes takes nobody along. When `stopped` becomes true it gets one SIGTERM
// and may end in its own time; it is killed if this thread dies. Asks every `poll`. Answers its exit code, 128 + the
// signal when one killed it. Errors: Unavailable: no process could be made.
absl::StatusOr<int> RunSelf(const std::vector<std::string>& arguments, const std::function<bool()>& stopped,
                            absl::Duration poll);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_SCHEDULE_CHILD_RUN_H_
