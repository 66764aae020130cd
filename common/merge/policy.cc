#include "common/merge/policy.h"

#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace tributary {
namespace {

constexpr int64_t kMinuteMs = 60'000;
constexpr int64_t kDayMs = 24 * 60 * kMinuteMs;
constexpr int32_t kMaxSuppressionDays = 36'500;
constexpr int32_t kMaxFatigueImpressions = 1'000;

absl::Status Refused(absl::string_view field, absl::string_view reason) {
  return absl::InvalidArgumentError(absl::StrCat("merge policy refused: field=", field, " reason=\"", reason, "\""));
}

// Takes over a number, which must not be negative, if it is set.
absl::Status Take(absl::string_view field, bool set, double value, double* target) {
  if (!set) {
    return absl::OkStatus();
  }
  if (!std::isfinite(value) || value < 0) {
    return Refused(field, "must be finite and >= 0");
  }
  *target = value;
  return absl::OkStatus();
}

absl::StatusOr<SessionNeighbourOptions> SessionsFromProto(const v1::MergePolicy::SessionNeighbours& message) {
  SessionNeighbourOptions options;
  absl::Status status;
  const auto take = [&](absl::string_view field, int32_t value, int32_t most, size_t* target) {
    if (value < 0 || value > most) {
      status.Update(Refused(absl::StrCat("session_neighbours.", field), absl::StrCat("1 to ", most)));
    } else if (value > 0) {
      *target = static_cast<size_t>(value);
    }
  };
  take("recent_sessions", message.recent_sessions(), 100'000, &options.recent_sessions);
  take("neighbours", message.neighbours(), 10'000, &options.neighbours);
  take("last_items", message.last_items(), 100, &options.last_items);
  options.by_length = message.by_length();
  status.Update(Take("session_neighbours.session_half_life_seconds", true, message.session_half_life_seconds(),
                     &options.session_half_life_seconds));
  status.Update(Take("session_neighbours.item_half_life_places", message.has_item_half_life_places(),
                     message.item_half_life_places(), &options.item_half_life_places));
  if (message.has_by_idf()) {
    options.by_idf = message.by_idf();
  }
  if (!status.ok()) {
    return status;
  }
  return options;
}

}  // namespace

const MergePolicy::CategoryEffect* MergePolicy::EffectOf(EventType kind) const {
  for (const CategoryEffect& effect : category_effects) {
    if (effect.kind == kind) {
      return &effect;
    }
  }
  return nullptr;
}

MergePolicy MergePolicy::Default() {
  MergePolicy policy;
  policy.category_effects = {
      {.kind = v1::VIEW, .strength = 0.3, .half_life_ms = 30 * kMinuteMs},
      {.kind = v1::CLICK, .strength = 0.3, .half_life_ms = 30 * kMinuteMs},
      {.kind = v1::ADD_TO_CART, .strength = 0.5, .half_life_ms = 30 * kMinuteMs},
      {.kind = v1::SEARCH, .strength = 0.3, .half_life_ms = 30 * kMinuteMs},
      {.kind = v1::LIKE, .strength = 0.5, .half_life_ms = kDayMs},
      {.kind = v1::DISLIKE, .strength = -0.5, .half_life_ms = kDayMs},
  };
  policy.purchase_suppression_ms = 30 * kDayMs;
  policy.dislike_rating_at_most_micros = 2'000'000;
  return policy;
}

absl::StatusOr<MergePolicy> MergePolicy::FromProto(const v1::MergePolicy& message) {
  MergePolicy policy = Default();
  if (message.category_effects_size() > 0) {
    policy.category_effects.clear();
  }
  for (const v1::MergePolicy::CategoryEffect& effect : message.category_effects()) {
    if (effect.kind() == v1::EVENT_TYPE_UNSPECIFIED || !v1::EventType_IsValid(effect.kind())) {
      return Refused("category_effects.kind", "unset or unknown");
    }
    if (policy.EffectOf(effect.kind()) != nullptr) {
      return Refused("category_effects.kind", absl::StrCat(v1::EventType_Name(effect.kind()), " is there twice"));
    }
    if (!std::isfinite(effect.strength())) {
      return Refused("category_effects.strength", "must be finite");
    }
    if (effect.half_life_seconds() <= 0) {
      return Refused("category_effects.half_life_seconds", "must be > 0");
    }
    policy.category_effects.push_back({.kind = effect.kind(),
                                       .strength = effect.strength(),
                                       .half_life_ms = int64_t{effect.half_life_seconds()} * 1000});
  }
  absl::Status status = Take("max_category_boost", message.has_max_category_boost(), message.max_category_boost(), &policy.max_category_boost);
  status.Update(Take("personal_weight", message.has_personal_weight(), message.personal_weight(), &policy.personal_weight));
  status.Update(Take("session_weight", message.has_session_weight(), message.session_weight(), &policy.session_weight));
  status.Update(Take("fallback_weight", message.has_fallback_weight(), message.fallback_weight(), &policy.fallback_weight));
  status.Update(Take("newcomer_weight", message.has_newcomer_weight(), message.newcomer_weight(), &policy.newcomer_weight));
  const v1::MergePolicy::Fatigue& fatigue = message.fatigue();
  status.Update(Take("fatigue.strength", fatigue.has_strength(), fatigue.strength(), &policy.fatigue.strength));
  double rating = static_cast<double>(policy.dislike_rating_at_most_micros) / 1e6;
  status.Update(Take("dislike_rating_at_most", message.has_dislike_rating_at_most(), message.dislike_rating_at_most(), &rating));
  if (!status.ok()) {
    return status;
  }
  if (rating > 10) {
    return Refused("dislike_rating_at_most", "0 to 10");
  }
  policy.dislike_rating_at_most_micros = std::llround(rating * 1e6);
  if (message.purchase_suppression_days() < 0 || message.purchase_suppression_days() > kMaxSuppressionDays) {
    return Refused("purchase_suppression_days", "0 to 36,500");
  }
  if (message.has_purchase_suppression_days()) {
    policy.purchase_suppression_ms = message.purchase_suppression_days() * kDayMs;
  }
  if (fatigue.impressions() < 0 || fatigue.impressions() > kMaxFatigueImpressions) {
    return Refused("fatigue.impressions", "0 to 1,000");
  }
  policy.fatigue.impressions = fatigue.impressions();
  if (fatigue.window_seconds() < 0 || int64_t{fatigue.window_seconds()} * 1000 > policy.fatigue.window_ms) {
    return Refused("fatigue.window_seconds", "0 to 86,400");
  }
  if (fatigue.window_seconds() > 0) {
    policy.fatigue.window_ms = int64_t{fatigue.window_seconds()} * 1000;
  }
  absl::StatusOr<SessionNeighbourOptions> sessions = SessionsFromProto(message.session_neighbours());
  if (!sessions.ok()) {
    return sessions.status();
  }
  policy.session_neighbours = *sessions;
  return policy;
}

SourceWeights ResolveWeights(const v1::SnapshotManifest& manifest, const MergePolicy& policy) {
  SourceWeights weights{.personal = policy.personal_weight,
                        .session = policy.session_weight,
                        .fallback = policy.fallback_weight,
                        .newcomer = policy.newcomer_weight};
  for (const v1::SourceWeight& source : manifest.source_weights()) {
    if (!std::isfinite(source.weight()) || source.weight() < 0) {
      continue;   // A manifest of another build: the policy's weight is the safe one.
    }
    if (absl::EqualsIgnoreCase(source.source(), "personal")) {
      weights.personal = source.weight();
    } else if (absl::EqualsIgnoreCase(source.source(), "session")) {
      weights.session = source.weight();
    } else if (absl::EqualsIgnoreCase(source.source(), "fallback")) {
      weights.fallback = source.weight();
    } else if (absl::EqualsIgnoreCase(source.source(), "newcomer")) {
      weights.newcomer = source.weight();
    }
  }
  return weights;
}

}  // namespace tributary
