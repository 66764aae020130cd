#include "batch_layer/pipeline/dataset.h"

#include <xxhash.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "common/event/session.h"
#include "common/event/user_digest.h"
#include "common/status/status_macros.h"

namespace tributary::batch {
namespace {

// Numbers names in the order of their first appearance, and then by name.
class Names {
 public:
  uint32_t NumberOf(const std::string& name) {
    const auto [it, added] = numbers_.try_emplace(name, static_cast<uint32_t>(numbers_.size()));
    return it->second;
  }
  size_t size() const { return numbers_.size(); }

  // The names by bytes; (*places)[number] is the place of the name that had `number`.
  std::vector<std::string> Sorted(std::vector<uint32_t>* places) const {
    std::vector<const std::pair<const std::string, uint32_t>*> entries;
    entries.reserve(numbers_.size());
    for (const auto& entry : numbers_) {
      entries.push_back(&entry);
    }
    std::sort(entries.begin(), entries.end(), [](const auto* a, const auto* b) { return a->first < b->first; });
    places->resize(entries.size());
    std::vector<std::string> names;
    names.reserve(entries.size());
    for (const auto* entry : entries) {
      (*places)[entry->second] = static_cast<uint32_t>(names.size());
      names.push_back(entry->first);
    }
    return names;
  }

 private:
  absl::flat_hash_map<std::string, uint32_t> numbers_;
};

struct CountKeyHash {
  size_t operator()(const CountKey& key) const {
    return absl::HashOf(static_cast<int>(key.measure), key.key, static_cast<int>(key.type));
  }
};

// Where each partition's last segment begins, if its end cuts one.
std::map<PartitionId, Offset> CutSegments(const History& history, int64_t segment_size) {
  std::map<PartitionId, Offset> cuts;
  for (const v1::HistorySegment& segment : history.manifest().segments()) {
    const PartitionId partition{segment.partition()};
    if (partition != kImportPartition) {
      const Offset end = history.End(partition).offset;
      cuts[partition] = SegmentStart(end, segment_size);
    }
  }
  return cuts;
}

class DatasetReader {
 public:
  DatasetReader(const RunCatalogue& catalogue, std::map<PartitionId, Offset> cuts, const v1::HistoryManifest& manifest,
                EventStore::Options events)
      : cuts_(std::move(cuts)), forgotten_(manifest) {
    data_.events = EventStore(std::move(events));
    for (const auto& [id, item] : catalogue.items) {
      items_.NumberOf(id);
    }
  }

  absl::Status Add(const HistoryEvent& row) {
    const Event& event = row.event;
    Count(row);
    DenseEvent dense;
    if (!event.item_id.empty() && event.type != v1::ADJUSTMENT) {
      dense.item = items_.NumberOf(event.item_id);
    }
    if (event.user_id.empty() || forgotten_.Hides(event)) {
      return absl::OkStatus();
    }
    dense.user = users_.NumberOf(event.user_id);
    if (!event.session_id.empty()) {
      dense.session = std::max<uint64_t>(1, XXH64(event.session_id.data(), event.session_id.size(), 0));
    }
    dense.kind = static_cast<uint8_t>(event.type);
    dense.anonymous = event.anonymous;
    dense.event_time_unix_ms = event.event_time_unix_ms;
    dense.partition = row.position.partition;
    dense.offset = row.position.offset;
    dense.value_micros = event.value_micros;
    if (users_.size() >= kNoItem || items_.size() >= kNoItem) {
      return absl::ResourceExhaustedError("more users or items than one snapshot can number");
    }
    return data_.events.Add(dense);
  }

  absl::StatusOr<Dataset> Finish(const RunCatalogue& catalogue) && {
    std::vector<uint32_t> user_places, item_places;
    data_.users = users_.Sorted(&user_places);
    for (const std::string& id : items_.Sorted(&item_places)) {
      const auto known = catalogue.items.find(id);
      if (known != catalogue.items.end()) {
        data_.items.push_back(known->second);
      } else {
        data_.items.emplace_back().set_item_id(id);
      }
    }
    TRIBUTARY_RETURN_IF_ERROR(data_.events.Sort(user_places, item_places));
    data_.totals.insert(totals_.begin(), totals_.end());
    data_.forgotten = forgotten_.list();
    data_.forgotten_until.reserve(data_.users.size());
    for (const std::string& user : data_.users) {
      data_.forgotten_until.push_back(forgotten_.Until(user));
      if (data_.forgotten_until.back() != ForgottenUsers::kNever) {
        data_.forgotten.erase(UserDigest(user));
      }
    }
    return std::move(data_);
  }

 private:
  // What every event counts in, whoever did it.
  void Count(const HistoryEvent& row) {
    const Event& event = row.event;
    if (data_.accepted_events++ == 0) {
      data_.first_event_time_unix_ms = data_.last_event_time_unix_ms = event.event_time_unix_ms;
    }
    data_.first_event_time_unix_ms = std::min(data_.first_event_time_unix_ms, event.event_time_unix_ms);
    data_.last_event_time_unix_ms = std::max(data_.last_event_time_unix_ms, event.event_time_unix_ms);
    ForEachCount(event, [this](const CountKeyView& key, const CountAmounts& amounts) {
      totals_[CountKey{key.measure, std::string(key.key), key.type}] += amounts;
    });
    const auto cut = cuts_.find(row.position.partition);
    if (cut != cuts_.end() && row.position.offset >= cut->second) {
      data_.cut_counts[row.position.partition].Add(event);
    }
  }

  const std::map<PartitionId, Offset> cuts_;
  ForgottenUsers forgotten_;
  Names users_, items_;
  absl::flat_hash_map<CountKey, CountAmounts, CountKeyHash> totals_;
  Dataset data_;
};

}  // namespace

absl::StatusOr<Dataset> ReadDataset(History& history, const RunCatalogue& catalogue, int64_t segment_size,
                                    EventStore::Options events) {
  DatasetReader reader(catalogue, CutSegments(history, segment_size), history.manifest(), std::move(events));
  HistoryScan scan;
  scan.columns = HistoryColumns::All();
  scan.columns.query = false;
  TRIBUTARY_RETURN_IF_ERROR(history.Scan(scan, [&reader](const HistoryEvent& row) { return reader.Add(row); }));
  return std::move(reader).Finish(catalogue);
}

UserHistory FoldUser(absl::Span<const DenseEvent> events, int64_t forgotten_until, bool with_anonymous) {
  // The fold is a join, so any order will do: by (item, kind) each decision lands at the end of the array.
  std::vector<const DenseEvent*> order;
  for (const DenseEvent& event : events) {
    if (IsLongTerm(event.type()) && (with_anonymous || !event.anonymous) && event.item != kNoItem) {
      order.push_back(&event);
    }
  }
  std::sort(order.begin(), order.end(), [](const DenseEvent* a, const DenseEvent* b) {
    return std::tuple(a->item, a->kind, a->key()) < std::tuple(b->item, b->kind, b->key());
  });
  UserHistory history;
  for (const DenseEvent* event : order) {
    history.Apply(event->type(), ItemNumber{event->item}, event->key(), event->value_micros);
  }
  if (forgotten_until != ForgottenUsers::kNever) {
    history.Apply(v1::FORGET, ItemNumber{}, {forgotten_until, {}}, 0);
  }
  return history;
}

int64_t CountSessions(absl::Span<const DenseEvent> events) {
  std::vector<std::pair<int64_t, uint64_t>> order;     // Event time, session.
  for (const DenseEvent& event : events) {
    if (event.type() != v1::IMPRESSION && event.type() != v1::ADJUSTMENT) {
      order.emplace_back(event.event_time_unix_ms, event.session);
    }
  }
  if (order.empty()) {
    return 0;
  }
  std::sort(order.begin(), order.end());
  // Sessionize wants ids; the hashes' bytes are as good.
  std::vector<SessionEvent> session_events;
  session_events.reserve(order.size());
  for (const auto& [time, session] : order) {
    session_events.push_back({time, session == kNoSession
                                        ? absl::string_view()
                                        : absl::string_view(reinterpret_cast<const char*>(&session), sizeof(session))});
  }
  const std::vector<int32_t> sessions = Sessionize(session_events);
  return *std::max_element(sessions.begin(), sessions.end()) + 1;
}

}  // namespace tributary::batch
