#ifndef TRIBUTARY_TESTS_SIMULATION_TRUTH_H_
#define TRIBUTARY_TESTS_SIMULATION_TRUTH_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/fakes/fake_event_log.h"
#include "tests/reference/reference.h"
#include "tributary/v1/catalogue.pb.h"

namespace tributary::simulation {

// Items, users and rules as they are after some change.
struct CatalogueVersion {
  std::map<std::string, v1::Item> items;  // Unset id: deleted.
  std::map<std::string, v1::Rule> rules;
  std::map<std::string, v1::UserRecord> users;

  // May the item be shown to the user?
  bool Allows(const std::string& item, const std::string& user, int64_t now_unix_ms) const;
};

// An event that the history has with its person.
struct KeptEvent {
  std::string user_id;
  int64_t event_time_unix_ms = 0;
  reference::Place place;
};

// What is true of a world, whatever its processes believe: the reference over the committed log and the imports, every
// state the catalogue was in, the generations that were ever active.
class Truth {
 public:
  // Takes in what has become stable since.
  void Read(const FakeEventLog& log, int partitions);
  void AddImport(int64_t ordinal, const std::vector<std::string>& values);

  const reference::Reference& reference() const { return reference_; }

  void Put(const v1::Item& item);
  void Put(const v1::Rule& rule);
  void Put(const v1::UserRecord& user);
  const std::vector<CatalogueVersion>& versions() const { return versions_; }

  std::set<int64_t> activated;  // Generations.

 private:
  CatalogueVersion& NextVersion();

  reference::Reference reference_;
  std::map<int, Offset> next_;
  std::vector<CatalogueVersion> versions_{1};
};

}  // namespace tributary::simulation

#endif  // TRIBUTARY_TESTS_SIMULATION_TRUTH_H_
