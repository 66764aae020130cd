#ifndef TRIBUTARY_COMMON_PROCESS_SCHEDULING_H_
#define TRIBUTARY_COMMON_PROCESS_SCHEDULING_H_

namespace tributary {

// How soon a thread gets a core that others want too.
enum class Urgency {
  kPrompt,   // As soon as it wakes up, for what it does in a fraction of a millisecond; its share of a busy core is the usual.
  kNice,     // Gives way to others at once; comes forward however busy the machine is, by a hundredth of it.
  kIdle,     // Runs where nothing else does.
};

// Of the calling thread, and of all that it starts from then on. Logs a warning where the kernel refuses. How soon is a matter
// of Linux 6.12 and later; before, kPrompt changes nothing, and kNice gives way within some milliseconds.
void SetUrgency(Urgency urgency);

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_PROCESS_SCHEDULING_H_
