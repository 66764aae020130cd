#include "batch_layer/gate/gate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "batch_layer/evaluation/ranking_metrics.h"

namespace tributary::batch {
namespace {

constexpr double kRounding = 1e-9;   // What lies on a limit, such as 0.9 * (1 - 0.2), passes.
constexpr double kUnmeasured = std::numeric_limits<double>::quiet_NaN();

struct Limits {
  std::optional<double> active;
  std::optional<double> at_least;
  std::optional<double> at_most;
};

class Checks {
 public:
  // What is no number fails.
  void Add(std::string name, double candidate, const Limits& limits) {
    v1::GateCheck& check = *verdict_.add_checks();
    check.set_name(std::move(name));
    check.set_candidate(candidate);
    if (limits.active) check.set_active(*limits.active);
    if (limits.at_least) check.set_at_least(*limits.at_least);
    if (limits.at_most) check.set_at_most(*limits.at_most);
    const double rounding = kRounding * std::abs(candidate);
    check.set_passed(std::isfinite(candidate) && !(limits.at_least && candidate + rounding < *limits.at_least) &&
                     !(limits.at_most && candidate - rounding > *limits.at_most));
  }
  v1::GateVerdict Verdict() && {
    const bool passed = std::all_of(verdict_.checks().begin(), verdict_.checks().end(),
                                    [](const v1::GateCheck& check) { return check.passed(); });
    verdict_.set_outcome(passed ? v1::GateVerdict::PASSED : v1::GateVerdict::REFUSED);
    return std::move(verdict_);
  }
  v1::GateVerdict& verdict() { return verdict_; }

 private:
  v1::GateVerdict verdict_;
};

// Below the least number of users a shop may grow a hundredfold from one night to the next, but nothing is to vanish.
void CheckSize(const char* name, int64_t candidate, int64_t active, bool scales, const v1::GateConfig& limits,
               Checks* checks) {
  const auto was = static_cast<double>(active);
  Limits allowed{.active = was, .at_least = std::min(was, 1.0), .at_most = {}};
  if (scales) {
    allowed.at_least = was * (1 - limits.max_shrink());
    allowed.at_most = was * limits.max_growth();
  }
  checks->Add(name, static_cast<double>(candidate), allowed);
}

void CheckDrop(std::string name, double candidate, double active, double max_drop, Checks* checks) {
  checks->Add(std::move(name), candidate, {.active = active, .at_least = active * (1 - max_drop), .at_most = {}});
}

void CheckAgainst(const SnapshotMeasures& candidate, const ActiveSnapshot& other, const v1::GateConfig& limits,
                  Checks* checks) {
  const SnapshotMeasures& active = other.measures;
  const bool scales = active.users >= limits.compare_from_users();
  CheckSize("events", candidate.events, active.events, scales, limits, checks);
  CheckSize("users", candidate.users, active.users, scales, limits, checks);
  CheckSize("items", candidate.items, active.items, scales, limits, checks);
  CheckSize("size_bytes", candidate.size_bytes, active.size_bytes, scales, limits, checks);
  for (const auto& [partition, watermark] : active.watermarks) {
    const auto found = candidate.watermarks.find(partition);
    const auto was = static_cast<double>(Value(watermark));
    checks->Add(absl::StrCat("watermark_", Value(partition)),
                found == candidate.watermarks.end() ? 0 : static_cast<double>(Value(found->second)),
                {.active = was, .at_least = was, .at_most = {}});
  }
  if (!scales) {
    return;
  }
  CheckDrop("user_coverage", candidate.user_coverage(), active.user_coverage(), limits.max_coverage_drop(), checks);
  CheckDrop("item_coverage", candidate.item_coverage(), active.item_coverage(), limits.max_coverage_drop(), checks);
  // A metric that is gone fails: what is not measured any more cannot be trusted to be as good.
  for (const auto& [name, value] : active.metrics) {
    if (absl::StartsWith(name, kNoveltyToPrevious)) {
      continue;  // No measure of quality; churn has its own limits.
    }
    const auto found = candidate.metrics.find(name);
    CheckDrop(name, found == candidate.metrics.end() ? kUnmeasured : found->second, value, limits.max_metric_drop(), checks);
  }
  if (active.listed_users > 0) {
    checks->Add("list_churn", other.churn.lists, {.active = {}, .at_least = {}, .at_most = limits.max_list_churn()});
  }
  if (active.popular_items > 0) {
    checks->Add("popular_churn", other.churn.popular,
                {.active = {}, .at_least = {}, .at_most = limits.max_popular_churn()});
  }
}

std::string Describe(const v1::GateCheck& check) {
  std::string text = absl::StrCat(check.name(), " ", check.candidate());
  if (check.has_at_least()) absl::StrAppend(&text, ", at least ", check.at_least());
  if (check.has_at_most()) absl::StrAppend(&text, ", at most ", check.at_most());
  if (check.has_active()) absl::StrAppend(&text, " (active ", check.active(), ")");
  return text;
}

}  // namespace

v1::GateVerdict Judge(const SnapshotMeasures& candidate, const std::optional<ActiveSnapshot>& active,
                      const v1::GateConfig& limits) {
  Checks checks;
  checks.verdict().set_generation(candidate.generation);
  checks.Add("empty_list_rate", candidate.empty_list_rate(),
             {.active = {}, .at_least = {}, .at_most = limits.max_empty_list_rate()});
  for (const auto& [name, value] : candidate.metrics) {
    checks.Add(absl::StrCat(name, "_measured"), value, {.active = {}, .at_least = 0.0, .at_most = {}});
  }
  if (active) {
    checks.verdict().set_active_generation(active->measures.generation);
    CheckAgainst(candidate, *active, limits, &checks);
  }
  return std::move(checks).Verdict();
}

std::string Describe(const v1::GateVerdict& verdict) {
  if (!verdict.damage().empty()) {
    return verdict.damage();
  }
  std::string failed;
  for (const v1::GateCheck& check : verdict.checks()) {
    if (!check.passed()) {
      absl::StrAppend(&failed, failed.empty() ? "" : "; ", Describe(check));
    }
  }
  if (!failed.empty()) {
    return failed;
  }
  return verdict.active_generation() == 0
             ? absl::StrCat(verdict.checks_size(), " checks, no active snapshot to compare with")
             : absl::StrCat(verdict.checks_size(), " checks, compared with generation ", verdict.active_generation());
}

}  // namespace tributary::batch
