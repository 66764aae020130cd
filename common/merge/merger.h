#ifndef TRIBUTARY_COMMON_MERGE_MERGER_H_
#define TRIBUTARY_COMMON_MERGE_MERGER_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/merge/fatigue.h"
#include "common/merge/interest_boosts.h"
#include "common/merge/live_facts.h"
#include "common/merge/merge.h"
#include "common/merge/sparse_set.h"

// Inside of Merge: its steps and buffers. Include merge.h instead.
namespace tributary {

struct MergeScratch::Buffers {
  // All that one request says of an item: why it must not be shown, and what the sources give it.
  struct Slot {
    uint32_t number = 0;            // Of the item.
    Absence absence = Absence::kNone;   // Why it is never shown in this answer.
    bool rejected = false;          // Disliked or rated low: its neighbours are no candidates either.
    bool seed = false;              // Its neighbours were added.
    bool considered = false;        // Admit has seen it.
    bool personal = false;          // In the source.
    bool session = false;
    bool fallback = false;
    bool wanted = false;            // One of MergeInput::score_items.
    CandidateSource fallback_source{};
    double personal_part = 0;       // Normalised and weighted.
    double session_part = 0;        // Raw until the session's candidates are chosen, then as personal_part.
    double fallback_part = 0;

    bool excluded() const { return absence != Absence::kNone; }
  };
  // An item that may be shown.
  struct Candidate {
    uint32_t slot = 0;
    ItemNumber item{};
    double pin = -1;                // Strength of the strongest pin; below 0: none.
    double score = 0;
  };
  struct Ranked {
    int64_t order = 0;              // Score in millionths of the best; pins above all of them.
    uint32_t candidate = 0;
  };
  // Per category: what the fallback ladder and the diversity cap count.
  struct CategoryUse {
    uint32_t number = 0;
    double touched = 0;
    int candidates = 0;
    int shown = 0;
  };

  UserHistory history;
  std::vector<LiveFact> facts;
  InterestBoosts boosts;
  Fatigue fatigue;
  SparseSet<Slot> slots;
  SparseSet<CategoryUse> categories;
  std::vector<ItemNumber> seeds;
  std::vector<uint32_t> session;      // Item numbers, the oldest first.
  SessionNeighbours::Scratch session_neighbours;
  std::vector<uint32_t> session_slots;
  std::vector<Candidate> candidates;
  std::vector<Ranked> ranked;
  std::vector<CategoryUse> ladder;
};

// One call of Merge.
class Merger {
 public:
  Merger(const MergeInput& input, MergeScratch* scratch, MergeResult* result)
      : in_(input),
        catalogue_(*input.catalogue),
        policy_(*input.policy),
        rules_(input.rules != nullptr && !input.rules->empty() ? input.rules : nullptr),
        b_(*scratch->buffers_),
        result_(*result) {}

  absl::Status Run();

 private:
  using Slot = MergeScratch::Buffers::Slot;
  using Candidate = MergeScratch::Buffers::Candidate;
  using CategoryUse = MergeScratch::Buffers::CategoryUse;
  using Ranked = MergeScratch::Buffers::Ranked;

  static constexpr double kRankSteps = 1e6;   // Scores are rounded to this part of the best before they rank.

  bool Known(ItemNumber item) const { return Value(item) < catalogue_.size(); }
  Slot& SlotOf(ItemNumber item) { return b_.slots[Value(item)]; }
  uint32_t IndexOf(const Slot& slot) const { return static_cast<uint32_t>(&slot - b_.slots.entries().data()); }
  void Prefetch(absl::Span<const ScoredItem> list, bool records) const;

  // What the user did.
  absl::Status ReadUser();

  // What must not be shown.
  void MarkHistory();
  void MarkItem(absl::Span<const Decision> decisions);
  // Why what the user did with one item keeps it out, and the decision that does.
  Absence JudgeDecisions(absl::Span<const Decision> decisions, const Decision** cause) const;
  void Exclude(absl::Span<const ItemNumber> items, Absence absence);

  // Sources.
  bool PersonalIsRanking() const;
  void AddPersonal();
  void AddSession();
  void CollectSeeds();
  // The session's items; answers the time of the latest fact among them, 0: none is.
  int64_t CollectSession();
  void AddSessionNeighbours();
  void AddSessionPart(ItemNumber item, double part);
  void AddNeighbours(absl::Span<const ItemNumber> seeds, bool weigh_by_recency);
  void ChooseSessionCandidates(double weight, size_t most);
  void AddScored();
  void AddPins();
  void AddLadder();
  void AddCategoryPopular(double weight);
  // Adds the items of one list while there are not enough candidates.
  void AddPopular(absl::Span<const ScoredItem> list, CandidateSource source, double weight, size_t batch);

  // Turns what the sources gave into candidates.
  void Admit(uint32_t slot);
  // What the catalogue, the filter and the rules say of an item: why it may not be shown, or its factor and pin. `hidden`: the
  // rule that hides it.
  Absence JudgeItem(ItemNumber item, double* factor, double* pin, RuleIndex* hidden) const;
  Absence JudgeByFilter(ItemNumber item) const;
  // False: a rule hides the item, `hidden`. Multiplies `factor`, raises `pin`; appends reasons unless null.
  bool ApplyRules(ItemNumber item, double* factor, double* pin, RuleIndex* hidden, std::vector<MergeReason>* reasons) const;
  bool ApplyRules(absl::Span<const RuleIndex> rules, double* factor, double* pin, RuleIndex* hidden,
                  std::vector<MergeReason>* reasons) const;
  bool Enough() const { return able_ > in_.limit; }   // One more than asked for: says whether there is another page.

  // The answer.
  void Rank();
  bool ComesBefore(const Ranked& a, const Ranked& b) const;
  void Emit();
  // Puts it into the result unless the cap keeps it out. False: the page is full.
  bool EmitCandidate(const Candidate& candidate);
  MergedItem ItemOf(const Candidate& candidate);
  // Between Rank and Emit: the item's place among all candidates, if it is one.
  void ExplainRank(ItemNumber item, MergeExplanation* explanation);
  // After Emit.
  void Explain(ItemNumber item, MergeExplanation* explanation) const;
  void CountAbsent();

  const MergeInput& in_;
  const Catalogue& catalogue_;
  const MergePolicy& policy_;
  const RuleSet* const rules_;  // Null: there are none.
  MergeScratch::Buffers& b_;
  MergeResult& result_;
  const UserHistory* history_ = nullptr;   // The snapshot's with what is live.
  int able_ = 0;          // Candidates that the diversity cap lets through.
  double best_ = 0;
  int capped_ = 0;        // Candidates that Emit passed over.
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_MERGE_MERGER_H_
