#ifndef TRIBUTARY_COMMON_MERGE_MERGE_H_
#define TRIBUTARY_COMMON_MERGE_MERGE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/event/event.h"
#include "common/ids/ids.h"
#include "common/merge/catalogue.h"
#include "common/merge/policy.h"
#include "common/merge/rule_set.h"
#include "common/sessions/live_session_index.h"
#include "common/sessions/session_neighbours.h"
#include "common/user_state/fact.h"
#include "common/user_state/user_history.h"

// Merge: snapshot + live facts + catalogue + rules + request -> ranked items with reasons. A pure function, used by the
// serving layer and by the offline evaluator: what is measured is what is served.
namespace tributary {

// Where a candidate came from: the numbers of v1::Source.
enum class CandidateSource : uint8_t {
  kPersonal = 1,
  kSession = 2,
  kNeighbour = 3,
  kSegmentPopular = 4,
  kCategoryPopular = 5,
  kTrending = 6,
  kPopular = 7,
  kPinned = 9,
  kLatest = 10,
};

// A snapshot's lists, in memory: nothing here waits. Lists are best first, scores finite and >= 0; an unknown item,
// category or segment has an empty list. Spans are valid as long as the views.
class CandidateViews {
 public:
  virtual ~CandidateViews() = default;
  virtual absl::Span<const ScoredItem> Neighbours(ItemNumber item) const = 0;
  virtual absl::Span<const ScoredItem> Popular() const = 0;
  virtual absl::Span<const ScoredItem> PopularIn(CategoryNumber category) const = 0;
  virtual absl::Span<const ScoredItem> PopularAmong(absl::string_view segment) const = 0;
};

// What the speed layer knows of the user on one partition.
struct LivePartition {
  PartitionId partition{};
  Offset watermark{};                  // W of the active snapshot.
  Offset floor{};                      // To which the view was trimmed.
  absl::Span<const Fact> facts;        // At or above the floor, by offset.
  absl::Span<const Fact> recent;       // Below the floor, by offset: short-term effect alone.
  absl::Span<const Fact> impressions;  // By offset: short-term effect alone, whatever W and the floor.
  bool truncated = false;
};

// Which items may be shown, by the catalogue's numbers. A name that the catalogue does not know has no number: drop it
// from the list, and set the `only_` flag all the same when the request asked for inclusion.
struct ItemFilter {
  bool only_included_categories = false;
  std::vector<CategoryNumber> include_categories;   // Any of them.
  std::vector<CategoryNumber> exclude_categories;
  bool only_included_labels = false;
  std::vector<LabelNumber> include_labels;          // Any of them.
  std::vector<LabelNumber> exclude_labels;
  std::vector<ItemNumber> exclude_items;
  std::optional<double> min_price;                  // Items without a price fail a set bound.
  std::optional<double> max_price;
};

enum class MergeKind : uint8_t {
  kRecommend,   // Personal list and session, then the fallback ladder; boosts, rules, pins.
  kSimilar,     // Neighbours of `similar_to`; rules but pins; the user's suppressions.
  kPopular,     // Popular items of `popular_category`, of `segment` if `popular_in_segment`, or overall; rules but pins.
  kList,        // The items of `list`; rules but pins.
  kScore,       // The items of `score_items` and no others, by all sources of kRecommend and the popular items; boosts, rules
                // but pins. An item that no source has scores 0.
};

// Why an item is not in an answer.
enum class Absence : uint8_t {
  kNone,                 // It is.
  kOwned,                // Bought, and not for long enough.
  kRejected,             // Disliked or rated low.
  kSeen,                 // And the request leaves out what was seen.
  kInBasket,             // Or the current item.
  kShownBefore,          // On the pages before.
  kAskedAbout,           // One of `similar_to`.
  kExcludedItem,         // By the filter, as the next five.
  kCategoryNotIncluded,
  kCategoryExcluded,
  kLabelNotIncluded,
  kLabelExcluded,
  kPrice,
  kDeleted,
  kUnavailable,          // Out of stock, or outside its availability.
  kHidden,               // By a rule.
  kCapped,               // By the diversity cap.
  kRankedTooLow,         // It comes after the page.
  kNotCandidate,         // No source had it, or none that was needed.
};

// All that one answer rests on. Borrowed for the call. What is unset is absent.
struct MergeInput {
  MergeKind kind = MergeKind::kRecommend;

  const Catalogue* catalogue = nullptr;      // Required.
  const RuleSet* rules = nullptr;            // Null: none.
  const CandidateViews* views = nullptr;     // Null: no snapshot.
  const SessionNeighbours* sessions = nullptr;       // Null: the session is continued by its items' neighbours alone.
  absl::Span<const ScoredItem> trending;             // What was acted on most in the last hours, best first.
  const LiveSessionIndex* live_sessions = nullptr;   // Beside those of `sessions`; null: none.
  const SessionSearch* session_search = nullptr;     // Asks `sessions`; null: each time anew.
  const MergePolicy* policy = nullptr;       // Required.
  SourceWeights weights;
  int64_t now_unix_ms = 0;                   // Required: what ages, windows and availability are counted to.

  // The user.
  absl::Span<const ScoredItem> personal;     // The list of the batch layer, folded in or mixed of both, best first.
  bool personal_falls = false;  // It is known that no score of it is greater than the one before: not looked at.
  bool newcomer = false;                     // The batch layer has no list of the user: weights.newcomer is that of `personal`.
  const UserHistory* history = nullptr;      // Of the snapshot, at its W. Null: it does not know the user.
  absl::Span<const LivePartition> live;
  uint64_t user_key = 0;                     // Of the user among live_sessions. 0: not in it.
  absl::string_view segment;

  // The request.
  int limit = 20;                            // 1 to 1,000.
  const ItemFilter* filter = nullptr;
  bool exclude_seen = false;                 // Leaves out what the user viewed, clicked, bought, liked or rated.
  int max_per_category = 0;                  // By main category; 0: no cap. Items without a category have no cap.
  absl::Span<const ItemNumber> basket;       // Never shown; of the session.
  std::optional<ItemNumber> current_item;    // As basket.
  absl::Span<const ItemNumber> recent_items; // An anonymous visitor's, oldest first.
  absl::Span<const ItemNumber> shown;        // On the pages before: never again.
  absl::Span<const ItemNumber> similar_to;   // For kSimilar.
  std::optional<CategoryNumber> popular_category;   // For kPopular.
  bool popular_in_segment = false;                  // For kPopular.
  absl::Span<const ScoredItem> list;                // For kList, best first.
  CandidateSource list_source{};                    // Of `list`.
  absl::Span<const ItemNumber> score_items;         // For kScore.
  bool without_reasons = false;
  std::optional<ItemNumber> explain;         // Set: MergeResult::explanation says why it is or is not in the answer.
};

// The event behind an adjustment.
struct EventCause {
  EventType type = EventType::EVENT_TYPE_UNSPECIFIED;
  EventPosition position;
  int64_t event_time_unix_ms = 0;
  friend bool operator==(const EventCause&, const EventCause&) = default;
};

// One part of a score: the score is the sum of the source parts times the factors (but for the last rounding).
struct MergeReason {
  enum class Kind : uint8_t { kSource, kCategoryBoost, kLabelBoost, kRule, kFatigue };
  Kind kind = Kind::kSource;
  CandidateSource source{};      // kSource: part is added.
  CategoryNumber category{};     // kCategoryBoost: part multiplies.
  RuleIndex rule{};              // kRule: part multiplies; 1 for a pin. Of input.rules.
  LabelNumber label{};           // kLabelBoost: part multiplies.
  EventCause cause;              // Of a boost: the strongest; of kFatigue, whose part multiplies: the latest.
  int32_t causes = 0;            // Of a boost and of kFatigue: events that combined.
  float part = 0;
};

struct MergedItem {
  ItemNumber item{};
  float score = 0;               // Finite, >= 0, rounded to 1e-6 of the best before it ranked.
  uint32_t first_reason = 0;     // In MergeResult::reasons.
  uint32_t reason_count = 0;
};

// Why one item is, or is not, in the answer: found by the merge that made it.
struct MergeExplanation {
  Absence absence = Absence::kNone;
  int rank = 0;                         // From 1: in the answer; of kCapped and kRankedTooLow among all candidates. 0: none.
  int candidates = 0;                   // That ranked.
  std::optional<EventCause> cause;      // Of kOwned, kRejected, kSeen.
  std::optional<RuleIndex> rule;        // Of kHidden.
  std::optional<CategoryNumber> category;   // Of kCapped.
  std::optional<MergedItem> item;       // Score and reasons, when it ranked.
};

struct MergeResult {
  std::vector<MergedItem> items;      // Best first.
  std::vector<MergeReason> reasons;
  bool unknown_user = false;          // Neither snapshot nor live facts nor recent items: the fallback ladder answered.
  bool list_short = false;            // Fewer items than the limit.
  bool truncated = false;             // The user is over the limit of live facts: outside the seam's promise.
  bool more = false;                  // Another page has at least one item.
  std::optional<MergeExplanation> explanation;           // Of MergeInput::explain.
  std::vector<std::pair<Absence, int32_t>> absent;       // When there are no items: how many each cause kept out, if any.

  absl::Span<const MergeReason> ReasonsOf(const MergedItem& item) const {
    return absl::MakeConstSpan(reasons).subspan(item.first_reason, item.reason_count);
  }
};

// The buffers of Merge. One a thread, used again and again: after the first requests nothing is allocated.
// Memory: 4 bytes an item of the catalogue, and some 100 KB.
class MergeScratch {
 public:
  MergeScratch();
  ~MergeScratch();
  MergeScratch(MergeScratch&&) noexcept;
  MergeScratch& operator=(MergeScratch&&) noexcept;

 private:
  friend class Merger;
  struct Buffers;
  std::unique_ptr<Buffers> buffers_;
};

// Ranks items for one request.
//
// Shapes:  at most `limit` items, best first; pins before all others by strength; ties by smaller item id.
// Score:   per source, an item's score over the source's best, times the source's weight; summed; times boosts
//          (1 + s, or 1 / (1 - s) when s < 0, where s is the sum over the item's categories, and over its labels that
//          were searched for, of strength * 2^(-age / half-life) over all facts, cut to +-max_category_boost); times
//          what fatigue makes of an item that was shown too often in vain (common/merge/fatigue.h); times rules.
// Absent:  what the user owns (latest of purchase and return is a purchase, not older than the suppression), what the user
//          rejects (latest of like, dislike and rating is a dislike or low), basket, current item, shown; out of stock,
//          outside availability, deleted; hidden by a rule; filtered; seen when asked.
// Session: what the user did last without a break (common/event/session.h), within 24 h, then recent items, basket and
//          current item: its best 100 candidates by session neighbours, or where those know nothing by the neighbours of
//          the latest items.
// Ladder:  while there are not enough: popular among the user's segment, then in the user's categories, trending, then
//          popular overall.
// Seam:    a live fact has a long-term effect only at or above its partition's W; its short-term effect (category
//          boosts, fatigue) is a function of event time alone (design.md, the seam law). FORGET hides older facts of every kind.
// Determinism: the same sets of facts, lists and rules give the same answer, in whatever order they come.
// Threads: stateless but for the scratch; call from any thread with a scratch of its own.
// Errors:  InvalidArgument names the input that is missing or out of range; FailedPrecondition: W lies below the floor of a
//          partition, the snapshot is too old for the live view.
absl::Status Merge(const MergeInput& input, MergeScratch* scratch, MergeResult* result);

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_MERGE_MERGE_H_
