#ifndef TRIBUTARY_BATCH_LAYER_IMPORT_IMPORTER_H_
#define TRIBUTARY_BATCH_LAYER_IMPORT_IMPORTER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "batch_layer/history/history.h"
#include "tributary/v1/event.pb.h"

namespace tributary::batch {

struct ImportOptions {
  std::string file;
  std::string mapping_file;
  std::string reject_file;                  // Empty: <file>.rejected.jsonl.
  std::optional<absl::Time> from;           // Events before are left out.
  std::optional<absl::Time> until;          // Exclusive: events from here on are left out.
};

struct ImportReport {
  uint64_t xxh64 = 0;                       // Of the uncompressed content.
  bool already_there = false;               // Then nothing was done, and what follows is 0.
  int64_t accepted = 0;
  int64_t rejected = 0;                     // In the reject file.
  int64_t skipped = 0;                      // By a rule of the mapping.
  int64_t outside = 0;                      // Of the time limits.
  int64_t forgotten = 0;                    // Accepted ones that a FORGET hides: taken in without the person.
  int64_t items = 0;                        // Of the derived catalogue.
  std::map<std::string, int64_t> by_type;   // Accepted events.
  std::string reject_file;                  // Empty: none was written.
};

// Puts a file into the history as a mapping says. The file is read twice, for its digest and for its rows. All or
// nothing: the events become visible together, and a file whose content is in already does nothing. A row that cannot be
// an event goes to the reject file and stops nothing. The catalogue is derived from all rows, whatever the time limits.
// Errors: of the mapping, the file and the history; InvalidArgument: the file is not what the mapping says it is.
absl::StatusOr<ImportReport> ImportFile(const ImportOptions& options, History& history);

// Reads a file as ImportFile does, but gives its events to `visit` in place of the history, as messages that producers
// could send: for replays. Stops at the first error of `visit`. Rows that cannot be events are counted; there is no
// reject file.
absl::StatusOr<ImportReport> ConvertFile(const ImportOptions& options,
                                         const std::function<absl::Status(const v1::Event&)>& visit);

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_IMPORT_IMPORTER_H_
