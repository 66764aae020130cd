#ifndef TRIBUTARY_TESTS_REFERENCE_RANDOM_EVENTS_H_
#define TRIBUTARY_TESTS_REFERENCE_RANDOM_EVENTS_H_

#include <cstdint>
#include <map>
#include <random>
#include <string>

#include "tributary/v1/event.pb.h"

namespace tributary::reference {

// Values of records of `events` with all that goes wrong in real ones: some are no events, ids are repeated inside and
// outside the window, event times are late, early and out of order, users forget, JSON comes among binary.
class RandomEvents {
 public:
  // Users are user-0 .. user-(users-1), items likewise. Borrows the source of randomness.
  RandomEvents(std::mt19937_64& random, int users, int items) : random_(random), users_(users), items_(items) {}

  int64_t Pick(int64_t n) { return std::uniform_int_distribution<int64_t>(0, n - 1)(random_); }
  bool OneIn(int64_t n) { return Pick(n) == 0; }
  int64_t User() { return Pick(users_); }

  // An event of the user that happened about `now`.
  v1::Event Event(int64_t user, int64_t now_unix_ms);
  // A value that is an event, and one that is none (or hardly).
  std::string Value(int64_t user, int64_t now_unix_ms);
  std::string BadValue(int64_t user, int64_t now_unix_ms);

 private:
  int64_t Time(int64_t now_unix_ms);

  std::mt19937_64& random_;
  const int users_;
  const int items_;
  std::map<int64_t, int64_t> ids_;  // By user: event ids so far.
};

}  // namespace tributary::reference

#endif  // TRIBUTARY_TESTS_REFERENCE_RANDOM_EVENTS_H_
