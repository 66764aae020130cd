#ifndef TRIBUTARY_TESTS_SIMULATION_STEP_H_
#define TRIBUTARY_TESTS_SIMULATION_STEP_H_

#include <cstdint>
#include <string>

// What happens in a simulated world, one thing after the other. A run is a list of steps and nothing else: the same list
// gives the same run, and a list with steps left out is a run too. So a failure is shortened by leaving steps out.
namespace tributary::simulation {

// In brackets: what `who`, `number`, `more` and `text` of the step say. A number that is too large is taken modulo what
// is there.
enum class Action {
  // What the world is for.
  kPublish,       // [partition; -; -; value] A producer writes a record to `events`, again until it is told that it did.
  kTransaction,   // [partition; outcome 0 commit, 1 abort, 2 stays open; -; value] The same in a transaction.
  kImport,        // [-; file] A file is imported; the same file again changes nothing.
  kItem,          // [-; -; -; v1::Item] The catalogue changes; without categories and stock the item is deleted.
  kRule,          // [-; -; -; v1::Rule] An operator's rule; without an action it is deleted.
  kUser,          // [-; -; -; v1::UserRecord]
  kSpeed,         // [slot] One round of an instance of the speed layer.
  kStartSpeed,    // [slot; -; its SpeedFleet::Memory] An instance is started. Where one is alive already, that one goes on as a zombie.
  kBatch,         // [-; steps of this list to do after each of its own steps; stops when asked the `more`th time, 0: does not]
  kActivate,      // [-; which of the retained generations] Forward or back.
  kFollow,        // [replica] One round of following the topics.
  kLook,          // [replica] One look at CURRENT.
  kCopy,          // [replica; which file; 0 whole, 1 torn, 2 with a flipped bit, 3 CURRENT] To a replica's own disk.
                  // 4: all that is missing, that file with a flipped bit, and CURRENT.
  kAsk,           // [replica; user; variant of the request] Answers are checked.
  kTick,          // [-; ms] Time passes.
  kQuiet,         // All faults are healed, everything comes to rest, everything is checked.
  // Faults.
  kCrashSpeed,    // [slot]
  kZombie,        // One round of an instance that was replaced.
  kStopSpeed,     // [slot] In order: commits, and is gone.
  kRestart,       // [replica] Crashes and starts again.
  kExpireMember,  // [slot] Its session in the group ends.
  kExpireTransaction,  // [slot]
  kRebalance,
  kFail,          // [operation; count; 0 Unavailable instead, 1 Unavailable after the effect, 2 Aborted]
  kPause,         // [0 Begin, 1 Commit, 2 Produce; steps; how many pass] Who asks for this next stands still meanwhile.
  kHold,          // [partition; topic] Nothing new is delivered.
  kRelease,       // [partition; topic]
  kDelayMarkers,  // [partition; topic]
  kReleaseMarkers,  // [partition; topic]
  kBroker,        // [1 goes away, 0 comes back]
  kCompact,       // [-; topic; 1 with tombstones]
  kTruncate,      // [partition; percent of what may go] Retention.
  kAddPartition,
  kJumpClock,     // [machine; ms, either way] The broker's is the last, and only goes back, by an hour at most.
  kDiskFull,      // [-; bytes] A batch run on a full disk.
  kLeftovers,     // What killed runs leave behind in the directories.
};

bool IsFault(Action action);

struct Step {
  Action action{};
  int who = 0;
  int64_t number = 0;
  int64_t more = 0;
  std::string text;
};

// For people, in one line.
std::string Describe(const Step& step);

}  // namespace tributary::simulation

#endif  // TRIBUTARY_TESTS_SIMULATION_STEP_H_
