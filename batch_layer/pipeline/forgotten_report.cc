#include "batch_layer/pipeline/forgotten_report.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "batch_layer/history/forgotten_users.h"
#include "common/event/user_digest.h"
#include "common/event_log/topics.h"
#include "common/snapshot/gate_verdict.h"
#include "common/status/status_macros.h"

namespace tributary::batch {
namespace {

constexpr int64_t kReportCacheBytes = 8 << 20;

std::string Text(int64_t unix_ms) { return absl::FormatTime(absl::RFC3339_sec, absl::FromUnixMillis(unix_ms), absl::UTCTimeZone()); }

class ReportBuilder {
 public:
  ReportBuilder(const v1::Config& config, History& history, const std::optional<std::string>& user_id)
      : config_(config), history_(history), user_id_(user_id), store_(config.storage().snapshots_dir()) {}

  absl::StatusOr<v1::ForgottenReport> Build() {
    ListUsers();
    TRIBUTARY_RETURN_IF_ERROR(AddSnapshots());
    TRIBUTARY_RETURN_IF_ERROR(AddHistory());
    v1::ForgottenReport report;
    for (auto& [digest, user] : users_) {
      AddTopic(&user);
      *report.add_users() = std::move(user);
    }
    return report;
  }

 private:
  using User = v1::ForgottenReport::User;

  // The latest FORGET of each.
  void ListUsers() {
    for (const v1::ForgottenUser& forgotten : history_.manifest().forgotten()) {
      if (user_id_ && forgotten.user_digest() != UserDigest(*user_id_)) {
        continue;
      }
      User& user = users_[forgotten.user_digest()];
      if (user.until_unix_ms() <= forgotten.until_unix_ms()) {
        user.set_user_digest(absl::BytesToHexString(forgotten.user_digest()));
        user.set_until_unix_ms(forgotten.until_unix_ms());
        user.set_partition(forgotten.partition());
        user.set_offset(forgotten.offset());
        user.set_record_time_unix_ms(forgotten.record_time_unix_ms());
      }
    }
  }

  static bool Counted(const v1::SnapshotManifest& manifest, const User& user) {
    if (user.partition() == Value(kImportPartition)) {
      return user.offset() >> kImportLineBits < manifest.imports_size();
    }
    return std::any_of(manifest.watermarks().begin(), manifest.watermarks().end(), [&user](const v1::PartitionWatermark& mark) {
      return mark.partition() == user.partition() && user.offset() < mark.watermark();
    });
  }

  absl::Status AddSnapshots() {
    const absl::StatusOr<std::vector<v1::SnapshotManifest>> manifests = store_.List();
    if (absl::IsNotFound(manifests.status())) {
      return absl::OkStatus();
    }
    TRIBUTARY_RETURN_IF_ERROR(manifests.status());
    const absl::StatusOr<Generation> current = store_.Current();
    int good = 0, refused = 0;     // From the newest on: retention counts them apart (retention.h).
    for (auto newest = manifests->rbegin(); newest != manifests->rend(); ++newest) {
      const v1::SnapshotManifest& manifest = *newest;
      const Generation generation{manifest.generation()};
      const bool was_refused = WasRefused(store_.dir(), generation);
      const int more = was_refused ? config_.batch().retained_refused() - refused++
                                   : config_.batch().retained_generations() - good++;
      for (auto& [digest, user] : users_) {
        if (Counted(manifest, user)) {
          continue;
        }
        if (user_id_) {
          TRIBUTARY_ASSIGN_OR_RETURN(const bool there, IsIn(generation));
          if (!there) {
            continue;
          }
        }
        v1::ForgottenReport::Holder& holder = *user.add_holders();
        holder.set_name(absl::StrCat("snapshot ", Value(generation)));
        holder.set_generation(Value(generation));
        *holder.mutable_created() = manifest.created();
        holder.set_until(absl::StrCat(std::max(0, more), was_refused ? " more snapshots are refused" : " more snapshots pass the gate",
                                      current.ok() && *current == generation ? ", and it is not the current one any more" : ""));
      }
    }
    return absl::OkStatus();
  }

  absl::StatusOr<bool> IsIn(Generation generation) const {
    TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<SnapshotReader> reader,
                               SnapshotReader::Open(store_.dir(), generation, SnapshotReader::Verify::kManifest, kReportCacheBytes));
    v1::SnapshotUser found;
    const absl::Status status = reader->FindUser(*user_id_, &found);
    if (absl::IsNotFound(status)) {
      return false;
    }
    TRIBUTARY_RETURN_IF_ERROR(status);
    return found.has_list() || found.profile().items_size() > 0;
  }

  absl::Status AddHistory() {
    const auto& segments = history_.manifest().segments();
    const int listed = history_.manifest().forgotten_size();
    if (std::all_of(segments.begin(), segments.end(),
                    [listed](const v1::HistorySegment& s) { return s.file().empty() || s.forgotten() == listed; })) {
      return absl::OkStatus();
    }
    struct Waiting {
      int64_t events = 0;
      int64_t record_time_unix_ms = 0;
    };
    std::map<std::pair<std::string, PartitionId>, Waiting> waiting;
    ForgottenUsers forgotten(history_.manifest());
    HistoryScan scan;
    scan.columns.user_id = true;
    TRIBUTARY_RETURN_IF_ERROR(history_.Scan(scan, [&](const HistoryEvent& row) {
      if (forgotten.Hides(row.event) && (!user_id_ || row.event.user_id == *user_id_)) {
        Waiting& there = waiting[{UserDigest(row.event.user_id), row.position.partition}];
        ++there.events;
        there.record_time_unix_ms = std::max(there.record_time_unix_ms, row.record_time_unix_ms);
      }
      return absl::OkStatus();
    }));
    for (const auto& [key, there] : waiting) {
      const auto& [digest, partition] = key;
      v1::ForgottenReport::Holder& holder = *users_[digest].add_holders();
      const bool imports = partition == kImportPartition;
      holder.set_name(imports ? "history, imports" : absl::StrCat("history, partition ", Value(partition)));
      holder.set_events(there.events);
      holder.set_until(imports ? "the next run"
                               : absl::StrCat("the run after its record time passes ", Text(there.record_time_unix_ms + kDedupWindowMs),
                                              ", or it is silent until ",
                                              Text(history_.End(partition).record_time_unix_ms + kSilentPartitionMs)));
    }
    return absl::OkStatus();
  }

  void AddTopic(User* user) const {
    if (user->partition() != Value(kImportPartition)) {
      v1::ForgottenReport::Holder& holder = *user->add_holders();
      const Topics topics(config_.kafka().topic_prefix());
      holder.set_name(absl::StrCat("topics ", topics.events, ", ", topics.dead_letters, ", ", topics.late_events));
      holder.set_until(absl::StrCat("about ", Text(user->record_time_unix_ms() + config_.kafka().retention_hours() * 3'600'000),
                                    " by kafka.retention_hours of events; the others' retention is the cluster's"));
    }
  }

  const v1::Config& config_;
  History& history_;
  const std::optional<std::string>& user_id_;
  const SnapshotStore store_;
  std::map<std::string, User> users_;     // By digest.
};

}  // namespace

absl::StatusOr<v1::ForgottenReport> ReportForgotten(const v1::Config& config, History& history,
                                                    const std::optional<std::string>& user_id) {
  return ReportBuilder(config, history, user_id).Build();
}

std::string Describe(const v1::ForgottenReport& report) {
  if (report.users().empty()) {
    return "the history has read no FORGET\n";
  }
  std::string text;
  for (const v1::ForgottenReport::User& user : report.users()) {
    absl::StrAppendFormat(&text, "%s  forgotten until %s by the event at %d:%d\n", user.user_digest(), Text(user.until_unix_ms()),
                          user.partition(), user.offset());
    for (const v1::ForgottenReport::Holder& holder : user.holders()) {
      absl::StrAppendFormat(&text, "  in %s%s until %s\n", holder.name(),
                            holder.events() > 0 ? absl::StrCat(" (", holder.events(), " events)") : "", holder.until());
    }
  }
  return text;
}

}  // namespace tributary::batch
