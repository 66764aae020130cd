#include "serving_layer/cli/doctor.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/event_log/topics.h"
#include "common/snapshot/snapshot.h"
#include "common/status/status_macros.h"
#include "tributary/v1/speed.pb.h"

namespace tributary::serving {
namespace {

using Grade = Finding::Grade;

constexpr absl::Duration kPollTimeout = absl::Seconds(1);
constexpr absl::Duration kReadTimeout = absl::Seconds(30);   // Without a record or an end: the broker is away.
constexpr int kPollEvents = 1000;

class Examination {
 public:
  Examination(const v1::Config& config, EventLog& log, const Clock& clock)
      : config_(config), log_(log), clock_(clock), topics_(config.kafka().topic_prefix()) {}

  absl::StatusOr<std::vector<Finding>> Run() {
    TRIBUTARY_RETURN_IF_ERROR(LookAtTopics());
    TRIBUTARY_RETURN_IF_ERROR(LookAtSettings());
    TRIBUTARY_RETURN_IF_ERROR(ReadSpeedViews());
    TRIBUTARY_RETURN_IF_ERROR(LookAtRetention());
    JudgeScattered();
    return std::move(findings_);
  }

 private:
  void Add(Grade grade, absl::string_view check, std::string detail) {
    findings_.push_back({.grade = grade, .check = std::string(check), .detail = std::move(detail)});
  }
  // When nothing worse was found.
  void AddOk(absl::string_view check, std::string detail) {
    if (std::none_of(findings_.begin(), findings_.end(), [&](const Finding& finding) { return finding.check == check; })) {
      Add(Grade::kOk, check, std::move(detail));
    }
  }
  int PartitionsOf(const std::string& topic) const {
    const auto found = partitions_.find(topic);
    return found == partitions_.end() ? 0 : found->second;
  }

  absl::Status LookAtTopics() {
    for (const TopicOptions& topic : TopicsToCreate(topics_, config_.kafka())) {
      const absl::StatusOr<int> count = log_.PartitionCount(topic.name);
      if (absl::IsNotFound(count.status())) {
        Add(Grade::kError, "topics", absl::StrCat(topic.name, " is missing: tributary topics create"));
        continue;
      }
      TRIBUTARY_RETURN_IF_ERROR(count.status());
      partitions_[topic.name] = *count;
    }
    for (const std::string& topic : {topics_.speed_views, topics_.live_counts}) {
      if (partitions_.contains(topic) && partitions_.contains(topics_.events) &&
          PartitionsOf(topic) != PartitionsOf(topics_.events)) {
        Add(Grade::kError, "topics",
            absl::StrCat(topic, " has ", PartitionsOf(topic), " partitions where ", topics_.events, " has ",
                         PartitionsOf(topics_.events), ": they must be equal"));
      }
    }
    AddOk("topics", absl::StrCat(partitions_.size(), " topics, ", PartitionsOf(topics_.events), " partitions of ",
                                 topics_.events));
    return absl::OkStatus();
  }

  absl::Status LookAtSettings() {
    for (const TopicOptions& topic : TopicsToCreate(topics_, config_.kafka())) {
      if (!partitions_.contains(topic.name)) {
        continue;
      }
      TRIBUTARY_ASSIGN_OR_RETURN(const auto settings, log_.TopicConfig(topic.name));
      const auto setting = [&](absl::string_view name) {
        const auto found = std::find_if(settings.begin(), settings.end(), [&](const auto& s) { return s.first == name; });
        return found == settings.end() ? std::string() : found->second;
      };
      if (const std::string type = setting("message.timestamp.type"); type != "LogAppendTime") {
        Add(Grade::kError, "timestamps",
            absl::StrCat(topic.name, " has message.timestamp.type=", type.empty() ? "(unset)" : type,
                         ", wants LogAppendTime"));
      }
      const std::string cleanup = setting("cleanup.policy");
      if (absl::StrContains(cleanup, "compact") != topic.compacted) {
        Add(topic.compacted ? Grade::kWarning : Grade::kError, "compaction",
            absl::StrCat(topic.name, " has cleanup.policy=", cleanup.empty() ? "(unset)" : cleanup, ", wants ",
                         topic.compacted ? "compact" : "delete"));
      }
    }
    AddOk("timestamps", "all topics have LogAppendTime");
    AddOk("compaction", "state topics are compacted, the others are not");
    return absl::OkStatus();
  }

  absl::Status ReadSpeedViews() {
    TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<LogReader> reader, log_.OpenReader(Isolation::kCommitted));
    std::set<PartitionId> reading;
    for (int p = 0; p < PartitionsOf(topics_.speed_views); ++p) {
      const TopicPartition source{topics_.speed_views, PartitionId{p}};
      TRIBUTARY_ASSIGN_OR_RETURN(const OffsetRange range, log_.Offsets(source, Isolation::kCommitted));
      if (range.begin < range.end) {
        TRIBUTARY_RETURN_IF_ERROR(reader->Start(source, range.begin));
        reading.insert(source.partition);
      }
    }
    absl::Time heard = clock_.Now();
    while (!reading.empty()) {
      TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<LogEvent> events, reader->Poll(kPollTimeout, kPollEvents));
      if (!events.empty()) {
        heard = clock_.Now();
      } else if (clock_.Now() - heard > kReadTimeout) {
        return absl::UnavailableError(absl::StrCat("topic cannot be read to its end: topic=", topics_.speed_views));
      }
      for (const LogEvent& event : events) {
        if (const auto* end = std::get_if<EndOfPartition>(&event)) {
          reading.erase(end->source.partition);
        } else if (const auto* record = std::get_if<LogRecord>(&event)) {
          Take(*record);
        }
      }
    }
    return absl::OkStatus();
  }

  void Take(const LogRecord& record) {
    if (record.key == kProgressKey) {
      v1::Progress progress;
      if (record.value && progress.ParseFromString(*record.value)) {
        progress_[record.source.partition] = std::move(progress);
      }
    } else if (record.value) {
      users_[record.key].insert(record.source.partition);
    } else if (const auto user = users_.find(record.key); user != users_.end()) {
      user->second.erase(record.source.partition);
    }
  }

  absl::Status LookAtRetention() {
    const SnapshotStore store(config_.storage().snapshots_dir());
    const absl::StatusOr<Generation> current = store.Current();
    const absl::StatusOr<v1::SnapshotManifest> manifest =
        current.ok() ? store.ReadManifest(*current) : absl::StatusOr<v1::SnapshotManifest>(current.status());
    if (!manifest.ok()) {
      Add(Grade::kWarning, "retention",
          absl::StrCat("not compared with W, there is no current snapshot to be read: ", manifest.status().message()));
    }
    for (int p = 0; p < PartitionsOf(topics_.events); ++p) {
      const PartitionId partition{p};
      TRIBUTARY_ASSIGN_OR_RETURN(const OffsetRange range,
                                 log_.Offsets({topics_.events, partition}, Isolation::kCommitted));
      if (const auto progress = progress_.find(partition);
          progress != progress_.end() && progress->second.gap_end_offset() > 0) {
        Add(Grade::kError, "retention",
            absl::StrCat("partition ", p, ": the speed layer did not read what lay below ",
                         progress->second.gap_end_offset(), ": live answers miss it until a snapshot has counted it"));
      }
      if (!manifest.ok()) {
        continue;
      }
      int64_t watermark = 0;
      for (const v1::PartitionWatermark& mark : manifest->watermarks()) {
        watermark = mark.partition() == p ? mark.watermark() : watermark;
      }
      if (Value(range.begin) > watermark) {
        Add(Grade::kError, "retention",
            absl::StrCat("partition ", p, ": retention has passed W: events ", watermark, " to ", Value(range.begin),
                         " are in no snapshot and can be in none any more; run batch more often or keep more"));
      }
      if (Value(range.end) < watermark) {
        Add(Grade::kError, "retention",
            absl::StrCat("partition ", p, ": ends at ", Value(range.end), " below W ", watermark,
                         ": the topic was made anew"));
      }
    }
    AddOk("retention", "every partition of events still has what no snapshot has counted");
    return absl::OkStatus();
  }

  void JudgeScattered() {
    int64_t scattered = 0;
    int64_t elsewhere = 0;   // Not where murmur2_random puts them.
    std::string example;
    const int partitions = std::max(1, PartitionsOf(topics_.events));
    std::erase_if(users_, [](const auto& user) { return user.second.empty(); });
    for (const auto& [user_id, of_user] : users_) {
      if (of_user.size() > 1) {
        ++scattered;
        example = example.empty() ? user_id : example;
      }
      elsewhere += of_user.contains(PartitionOfKey(user_id, partitions)) ? 0 : 1;
    }
    if (scattered > 0) {
      Add(Grade::kWarning, "scattered",
          absl::StrCat(scattered, " of ", users_.size(), " live users are on more than one partition, such as ", example,
                       ": producers should use partitioner=murmur2_random with the user id as key"));
    } else if (elsewhere > 0) {
      Add(Grade::kWarning, "scattered",
          absl::StrCat(elsewhere, " of ", users_.size(),
                       " live users are not where Publish would put them (murmur2_random of the user id)"));
    }
    AddOk("scattered", absl::StrCat(users_.size(), " live users, each on one partition"));
  }

  const v1::Config& config_;
  EventLog& log_;
  const Clock& clock_;
  const Topics topics_;
  std::map<std::string, int> partitions_;
  std::map<PartitionId, v1::Progress> progress_;
  std::map<std::string, std::set<PartitionId>> users_;
  std::vector<Finding> findings_;
};

}  // namespace

absl::StatusOr<std::vector<Finding>> Examine(const v1::Config& config, EventLog& log, const Clock& clock) {
  return Examination(config, log, clock).Run();
}

}  // namespace tributary::serving
