#include "common/config/config.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>
#include <utility>

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/status/status_macros.h"

namespace tributary {
namespace {

constexpr int64_t kLeastMemoryBudget = 64 << 10;  // Of the speed layer.

using google::protobuf::TextFormat;

// Keeps the first error: the rest follow from it.
class FirstError final : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, int column, const std::string& message) override {
    if (text_.empty()) {
      text_ = absl::StrCat("line=", line + 1, " column=", column + 1, " error=", message);
    }
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// Lays text over `config`; `origin` names it in errors.
absl::Status Overlay(const std::string& text, absl::string_view origin, v1::Config* config) {
  FirstError error;
  TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  // Parse refuses a field that is given twice, Merge would let the last one win.
  v1::Config alone;
  if (!parser.ParseFromString(text, &alone) || !parser.MergeFromString(text, config)) {
    return absl::InvalidArgumentError(absl::StrCat("configuration unreadable: file=", origin, " ", error.text()));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return absl::NotFoundError(absl::StrCat("configuration file unreadable: file=", path, " error=", std::strerror(errno)));
  }
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

void AddEffect(v1::MergePolicy* policy, v1::EventType kind, double strength, int half_life_seconds) {
  auto* effect = policy->add_category_effects();
  effect->set_kind(kind);
  effect->set_strength(strength);
  effect->set_half_life_seconds(half_life_seconds);
}

void AddWeight(v1::BatchConfig* batch, v1::EventType kind, double weight) {
  auto* entry = batch->add_kind_weights();
  entry->set_kind(kind);
  entry->set_weight(weight);
}

// Lists have defaults as a whole: one given entry replaces them all.
void FillLists(v1::Config* config) {
  if (config->merge().category_effects().empty()) {
    constexpr int kHalfHour = 1800;
    constexpr int kDay = 86400;
    auto* policy = config->mutable_merge();
    AddEffect(policy, v1::VIEW, 0.3, kHalfHour);
    AddEffect(policy, v1::CLICK, 0.3, kHalfHour);
    AddEffect(policy, v1::ADD_TO_CART, 0.5, kHalfHour);
    AddEffect(policy, v1::SEARCH, 0.3, kHalfHour);
    AddEffect(policy, v1::LIKE, 0.5, kDay);
    AddEffect(policy, v1::DISLIKE, -0.5, kDay);
  }
  if (config->batch().kind_weights().empty()) {
    auto* batch = config->mutable_batch();
    AddWeight(batch, v1::VIEW, 1);
    AddWeight(batch, v1::CLICK, 1);
    AddWeight(batch, v1::ADD_TO_CART, 2);
    AddWeight(batch, v1::PURCHASE, 3);
    AddWeight(batch, v1::LIKE, 3);
    AddWeight(batch, v1::RATING, 2);
  }
}

void FillExperiments(v1::ServingConfig* serving) {
  for (v1::Experiment& experiment : *serving->mutable_experiments()) {
    if (experiment.share() == 0) {
      experiment.set_share(1);
    }
    for (v1::ExperimentBucket& bucket : *experiment.mutable_buckets()) {
      if (bucket.weight() == 0) {
        bucket.set_weight(1);
      }
    }
  }
}

struct Range {
  const char* field;
  double value;
  double low;
  double high;
};

absl::Status CheckRanges(absl::string_view prefix, absl::Span<const Range> ranges) {
  for (const Range& range : ranges) {
    if (!(range.value >= range.low && range.value <= range.high)) {  // NaN fails too.
      return absl::InvalidArgumentError(absl::StrCat("configuration out of range: field=", prefix, range.field,
                                                     " value=", range.value, " allowed=", range.low, "..", range.high));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckMerge(absl::string_view prefix, const v1::MergePolicy& merge) {
  const auto& sessions = merge.session_neighbours();
  const Range ranges[] = {
      {"max_category_boost", merge.max_category_boost(), 0, 1000},
      {"purchase_suppression_days", double(merge.purchase_suppression_days()), 0, 36500},
      {"dislike_rating_at_most", merge.dislike_rating_at_most(), 0, 10},
      {"personal_weight", merge.personal_weight(), 0, 1000},
      {"session_weight", merge.session_weight(), 0, 1000},
      {"fallback_weight", merge.fallback_weight(), 0, 1000},
      {"newcomer_weight", merge.newcomer_weight(), 0, 1000},
      {"fatigue.impressions", double(merge.fatigue().impressions()), 0, 1000},
      {"fatigue.strength", merge.fatigue().strength(), 0, 1000},
      {"fatigue.window_seconds", double(merge.fatigue().window_seconds()), 1, 86400},
      {"session_neighbours.recent_sessions", double(sessions.recent_sessions()), 1, 100000},
      {"session_neighbours.neighbours", double(sessions.neighbours()), 1, 10000},
      {"session_neighbours.last_items", double(sessions.last_items()), 1, 100},
      {"session_neighbours.session_half_life_seconds", sessions.session_half_life_seconds(), 0, 1e10},
      {"session_neighbours.item_half_life_places", sessions.item_half_life_places(), 0, 1e6},
  };
  TRIBUTARY_RETURN_IF_ERROR(CheckRanges(prefix, ranges));
  for (const auto& effect : merge.category_effects()) {
    if (effect.kind() == v1::EVENT_TYPE_UNSPECIFIED || !std::isfinite(effect.strength()) ||
        effect.half_life_seconds() <= 0) {
      return absl::InvalidArgumentError(absl::StrCat("configuration out of range: field=", prefix,
                                                     "category_effects value={", effect.ShortDebugString(), "}"));
    }
  }
  return absl::OkStatus();
}

// Of experiments and buckets: EXPERIMENT/BUCKET must fit Event.experiment_bucket.
absl::Status CheckName(absl::string_view field, const std::string& name, std::set<std::string>* known) {
  constexpr size_t kMaxNameBytes = 31;
  const bool letters = std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.';
  });
  if (name.empty() || name.size() > kMaxNameBytes || !letters) {
    return absl::InvalidArgumentError(absl::StrCat("configuration out of range: field=", field, " value=", name,
                                                   " allowed=1 to ", kMaxNameBytes, " letters, digits, -, _ and ."));
  }
  return known->insert(name).second ? absl::OkStatus()
                                    : absl::InvalidArgumentError(absl::StrCat("configuration out of range: field=", field,
                                                                              " value=", name, " is there twice"));
}

absl::Status CheckExperiments(const v1::Config& config) {
  const auto& experiments = config.serving().experiments();
  const Range count[] = {{"serving.experiments", double(experiments.size()), 0, 100}};
  TRIBUTARY_RETURN_IF_ERROR(CheckRanges("", count));
  std::set<std::string> names;
  std::set<int64_t> generations;
  for (const v1::Experiment& experiment : experiments) {
    TRIBUTARY_RETURN_IF_ERROR(CheckName("serving.experiments.name", experiment.name(), &names));
    const Range ranges[] = {{"share", experiment.share(), 1e-6, 1}, {"buckets", double(experiment.buckets_size()), 1, 100}};
    TRIBUTARY_RETURN_IF_ERROR(CheckRanges("serving.experiments.", ranges));
    std::set<std::string> buckets;
    for (const v1::ExperimentBucket& bucket : experiment.buckets()) {
      TRIBUTARY_RETURN_IF_ERROR(CheckName("serving.experiments.buckets.name", bucket.name(), &buckets));
      const Range of_bucket[] = {{"weight", double(bucket.weight()), 1, 1e6}, {"generation", double(bucket.generation()), 0, 1e15}};
      TRIBUTARY_RETURN_IF_ERROR(CheckRanges("serving.experiments.buckets.", of_bucket));
      if (bucket.merge().has_session_neighbours()) {
        return absl::InvalidArgumentError(absl::StrCat(
            "configuration out of range: field=serving.experiments.buckets.merge.session_neighbours value={",
            bucket.merge().session_neighbours().ShortDebugString(), "} allowed=unset, all buckets have those of merge"));
      }
      TRIBUTARY_RETURN_IF_ERROR(
          CheckMerge("serving.experiments.buckets.merge.", PolicyOfBucket(config.merge(), bucket.merge())));
      if (bucket.generation() != 0) {
        generations.insert(bucket.generation());
      }
    }
  }
  return generations.size() <= 1
             ? absl::OkStatus()
             : absl::InvalidArgumentError(
                   absl::StrCat("configuration out of range: field=serving.experiments.buckets.generation value=",
                                absl::StrJoin(generations, ","), " allowed=one besides the current one"));
}

}  // namespace

v1::Config DefaultConfig() {
  v1::Config config;
  const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));

  auto* kafka = config.mutable_kafka();
  kafka->set_brokers("127.0.0.1:9092");
  kafka->set_partitions(4);
  kafka->set_replication_factor(1);
  kafka->set_segment_size(1024);
  kafka->set_retention_hours(168);

  config.mutable_storage()->set_snapshots_dir("./data/snapshots");
  config.mutable_storage()->set_history_dir("./data/history");

  auto* batch = config.mutable_batch();
  batch->set_threads(cores);
  batch->set_seed(1);
  batch->set_list_length(100);
  batch->set_neighbours(50);
  batch->set_popular_length(500);
  batch->set_new_item_weight(0.5);
  batch->set_sessions_per_item(1500);
  batch->set_popularity_half_life_days(30);
  batch->set_retained_generations(3);
  batch->set_retained_refused(1);
  batch->set_late_events_for_run(10'000);
  batch->set_late_run_gap_seconds(3600);
  batch->set_retire_grace_seconds(60);
  auto* ials = batch->mutable_ials();
  ials->set_dimensions(64);
  ials->set_epochs(8);
  ials->set_unobserved_weight(0.1);
  ials->set_regularization(0.005);
  ials->set_regularization_exponent(1);
  auto* item_item = batch->mutable_item_item();
  item_item->set_links(200);
  item_item->set_ease_items_at_most(10'000);
  item_item->set_ease_regularization(500);
  item_item->set_low_pass_dimensions(256);
  item_item->set_low_pass_weight(0.3);
  batch->mutable_blend()->set_ials_weight(0.6);
  batch->mutable_blend()->set_validation_users(1'000);
  batch->mutable_blend()->set_live_users(500);
  auto* gate = batch->mutable_gate();
  gate->set_compare_from_users(200);
  gate->set_max_empty_list_rate(0.01);
  gate->set_max_metric_drop(0.2);
  gate->set_max_coverage_drop(0.2);
  gate->set_max_list_churn(0.5);
  gate->set_max_popular_churn(0.5);
  gate->set_max_shrink(0.2);
  gate->set_max_growth(5);
  auto* history = batch->mutable_history();
  history->set_compact_file_bytes(128LL << 20);
  history->set_compact_files(8);
  batch->set_learn_user_share(1);

  auto* speed = config.mutable_speed();
  speed->set_group("tributary-speed");
  speed->set_checkpoint_ms(200);
  speed->set_max_facts_per_user(4096);
  speed->set_max_impressions_per_user(256);
  speed->set_allowed_lateness_seconds(86400);
  speed->set_session_timeout_ms(10000);
  speed->set_local_store_dir("tributary-local");

  auto* serving = config.mutable_serving();
  serving->set_listen_address("127.0.0.1:8470");
  serving->set_stale_after_seconds(60);
  serving->set_snapshot_poll_ms(200);
  serving->set_block_cache_bytes(256LL << 20);
  serving->set_http_connections(64);
  serving->set_max_watchers(10'000);
  serving->set_max_queue_ms(200);
  serving->set_fold_in_bytes(64LL << 20);
  serving->set_fold_in_at_once_bytes(16LL << 20);
  serving->set_fold_in_threads(1);
  serving->set_live_sessions_bytes(256LL << 20);
  serving->set_session_lists_bytes(64LL << 20);
  serving->set_session_lists_max_age_ms(60'000);

  auto* merge = config.mutable_merge();
  merge->set_max_category_boost(2);
  merge->set_purchase_suppression_days(30);
  merge->set_dislike_rating_at_most(2);
  merge->set_personal_weight(1);
  merge->set_session_weight(0.5);
  merge->set_fallback_weight(0.1);
  merge->set_newcomer_weight(0.25);
  auto* sessions = merge->mutable_session_neighbours();
  sessions->set_recent_sessions(1500);
  sessions->set_neighbours(288);
  sessions->set_last_items(4);
  sessions->set_item_half_life_places(2);
  sessions->set_by_idf(true);
  auto* fatigue = merge->mutable_fatigue();
  fatigue->set_impressions(0);
  fatigue->set_strength(1);
  fatigue->set_window_seconds(86'400);

  FillLists(&config);
  return config;
}

absl::Status ValidateConfig(const v1::Config& config) {
  const auto& kafka = config.kafka();
  const auto& batch = config.batch();
  const auto& speed = config.speed();
  const auto& serving = config.serving();
  if (kafka.brokers().empty()) {
    return absl::InvalidArgumentError("configuration out of range: field=kafka.brokers value= allowed=host:port");
  }
  const std::pair<const char*, const std::string*> required[] = {
      {"storage.snapshots_dir", &config.storage().snapshots_dir()},
      {"storage.history_dir", &config.storage().history_dir()},
      {"speed.group", &speed.group()},
      {"serving.listen_address", &serving.listen_address()},
  };
  for (const auto& [field, value] : required) {
    if (value->empty()) {
      return absl::InvalidArgumentError(absl::StrCat("configuration out of range: field=", field, " must not be empty"));
    }
  }
  const Range ranges[] = {
      {"kafka.partitions", double(kafka.partitions()), 1, 4096},
      {"kafka.replication_factor", double(kafka.replication_factor()), 1, 16},
      {"kafka.segment_size", double(kafka.segment_size()), 16, 1 << 20},
      {"kafka.retention_hours", double(kafka.retention_hours()), 1, 24 * 3660},
      {"batch.threads", double(batch.threads()), 1, 1024},
      {"batch.list_length", double(batch.list_length()), 1, 1000},
      {"batch.neighbours", double(batch.neighbours()), 1, 1000},
      {"batch.popular_length", double(batch.popular_length()), 1, 10000},
      {"batch.new_item_weight", batch.new_item_weight(), 0, 1},
      {"batch.sessions_per_item", double(batch.sessions_per_item()), 1, 100000},
      {"batch.popularity_half_life_days", batch.popularity_half_life_days(), 1e-3, 1e5},
      {"batch.retained_generations", double(batch.retained_generations()), 2, 1000},
      {"batch.retained_refused", double(batch.retained_refused()), 1, 1000},
      {"batch.late_events_for_run", double(batch.late_events_for_run()), 0, 1e15},
      {"batch.late_run_gap_seconds", double(batch.late_run_gap_seconds()), 0, 366.0 * 86400},
      {"batch.retire_grace_seconds", double(batch.retire_grace_seconds()), 0, 86400},
      {"batch.ials.dimensions", double(batch.ials().dimensions()), 8, 1024},
      {"batch.ials.epochs", double(batch.ials().epochs()), 1, 1000},
      {"batch.ials.unobserved_weight", batch.ials().unobserved_weight(), 0, 1e3},
      {"batch.ials.regularization", batch.ials().regularization(), 1e-9, 1e6},
      {"batch.ials.regularization_exponent", batch.ials().regularization_exponent(), 0, 2},
      {"batch.item_item.links", double(batch.item_item().links()), 1, 10000},
      {"batch.item_item.ease_items_at_most", double(batch.item_item().ease_items_at_most()), 0, 30000},
      {"batch.item_item.ease_regularization", batch.item_item().ease_regularization(), 1e-3, 1e9},
      {"batch.item_item.low_pass_dimensions", double(batch.item_item().low_pass_dimensions()), 1, 1024},
      {"batch.item_item.low_pass_weight", batch.item_item().low_pass_weight(), 0, 1000},
      {"batch.blend.ials_weight", batch.blend().ials_weight(), 0, 1},
      {"batch.blend.validation_users", double(batch.blend().validation_users()), 0, 1e6},
      {"batch.blend.live_users", double(batch.blend().live_users()), 0, 1e6},
      {"batch.gate.compare_from_users", double(batch.gate().compare_from_users()), 1, 1e9},
      {"batch.gate.max_empty_list_rate", batch.gate().max_empty_list_rate(), 0, 1},
      {"batch.gate.max_metric_drop", batch.gate().max_metric_drop(), 0, 1},
      {"batch.gate.max_coverage_drop", batch.gate().max_coverage_drop(), 0, 1},
      {"batch.gate.max_list_churn", batch.gate().max_list_churn(), 0, 1},
      {"batch.gate.max_popular_churn", batch.gate().max_popular_churn(), 0, 1},
      {"batch.gate.max_shrink", batch.gate().max_shrink(), 0, 1},
      {"batch.gate.max_growth", batch.gate().max_growth(), 1, 1e9},
      {"batch.history.compact_file_bytes", double(batch.history().compact_file_bytes()), 1024, double(16LL << 30)},
      {"batch.history.compact_files", double(batch.history().compact_files()), 2, 1000},
      {"batch.history.retention_days", double(batch.history().retention_days()), 0, 100000},
      {"batch.learn_from_days", double(batch.learn_from_days()), 0, 100000},
      {"batch.learn_user_share", batch.learn_user_share(), 1e-6, 1},
      {"batch.memory_budget_bytes", double(batch.memory_budget_bytes()), 0, 1e15},
      {"speed.checkpoint_ms", double(speed.checkpoint_ms()), 10, 10000},
      {"speed.max_facts_per_user", double(speed.max_facts_per_user()), 64, 1 << 20},
      {"speed.max_impressions_per_user", double(speed.max_impressions_per_user()), 16, 1000},
      {"speed.allowed_lateness_seconds", double(speed.allowed_lateness_seconds()), 0, 86400.0 * 365},
      {"speed.memory_budget_bytes", double(speed.memory_budget_bytes()), 0, 1e15},
      {"speed.session_timeout_ms", double(speed.session_timeout_ms()), 500, 300000},
      {"serving.stale_after_seconds", double(serving.stale_after_seconds()), 1, 86400},
      {"serving.snapshot_poll_ms", double(serving.snapshot_poll_ms()), 10, 60000},
      {"serving.block_cache_bytes", double(serving.block_cache_bytes()), 1 << 20, 1e13},
      {"serving.http_connections", double(serving.http_connections()), 1, 1000},
      {"serving.max_watchers", double(serving.max_watchers()), 0, 1e6},
      {"serving.max_queue_ms", double(serving.max_queue_ms()), 1, 60000},
      {"serving.fold_in_bytes", double(serving.fold_in_bytes()), 1 << 20, 1e13},
      {"serving.fold_in_at_once_bytes", double(serving.fold_in_at_once_bytes()), 0, 1e13},
      {"serving.fold_in_threads", double(serving.fold_in_threads()), 1, 64},
      {"serving.live_sessions_bytes", double(serving.live_sessions_bytes()), 1 << 20, 1e13},
      {"serving.session_lists_bytes", double(serving.session_lists_bytes()), 0, 1e13},
      {"serving.session_lists_max_age_ms", double(serving.session_lists_max_age_ms()), 0, 3600000},
  };
  TRIBUTARY_RETURN_IF_ERROR(CheckRanges("", ranges));
  if ((kafka.segment_size() & (kafka.segment_size() - 1)) != 0) {
    return absl::InvalidArgumentError(absl::StrCat("configuration out of range: field=kafka.segment_size value=",
                                                   kafka.segment_size(), " allowed=a power of two"));
  }
  if (speed.memory_budget_bytes() != 0 && speed.memory_budget_bytes() < kLeastMemoryBudget) {
    return absl::InvalidArgumentError(absl::StrCat("configuration out of range: field=speed.memory_budget_bytes value=",
                                                   speed.memory_budget_bytes(), " allowed=0 or ", kLeastMemoryBudget,
                                                   " and more"));
  }
  if (batch.ials().dimensions() % 8 != 0) {
    return absl::InvalidArgumentError(absl::StrCat("configuration out of range: field=batch.ials.dimensions value=",
                                                   batch.ials().dimensions(), " allowed=a multiple of 8"));
  }
  for (const auto& entry : batch.kind_weights()) {
    if (entry.kind() == v1::EVENT_TYPE_UNSPECIFIED || !(entry.weight() >= 0) || !std::isfinite(entry.weight())) {
      return absl::InvalidArgumentError(
          absl::StrCat("configuration out of range: field=batch.kind_weights value={", entry.ShortDebugString(), "}"));
    }
  }
  TRIBUTARY_RETURN_IF_ERROR(CheckMerge("merge.", config.merge()));
  return CheckExperiments(config);
}

v1::MergePolicy PolicyOfBucket(const v1::MergePolicy& merge, const v1::MergePolicy& bucket) {
  v1::MergePolicy policy = merge;
  if (bucket.category_effects_size() > 0) {
    policy.clear_category_effects();
  }
  policy.MergeFrom(bucket);
  return policy;
}

absl::StatusOr<v1::Config> LoadConfig(const std::string& path, absl::Span<const std::string> overrides) {
  v1::Config config = DefaultConfig();
  config.mutable_merge()->clear_category_effects();
  config.mutable_batch()->clear_kind_weights();
  if (!path.empty()) {
    TRIBUTARY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
    TRIBUTARY_RETURN_IF_ERROR(Overlay(text, path, &config));
  }
  for (const std::string& text : overrides) {
    TRIBUTARY_RETURN_IF_ERROR(Overlay(text, absl::StrCat("--set '", text, "'"), &config));
  }
  FillLists(&config);
  FillExperiments(config.mutable_serving());
  TRIBUTARY_RETURN_IF_ERROR(ValidateConfig(config));
  return config;
}

}  // namespace tributary
