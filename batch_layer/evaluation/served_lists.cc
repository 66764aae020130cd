#include "batch_layer/evaluation/served_lists.h"

#include <algorithm>
#include <numeric>

#include "common/status/status_macros.h"

namespace tributary::batch {
namespace {

constexpr size_t kPopularLength = 500;

}  // namespace

class ServedLists::Views : public CandidateViews {
 public:
  Views(const Catalogue& catalogue, absl::Span<const uint32_t> item_users) : in_category_(catalogue.category_count()) {
    std::vector<uint32_t> items(item_users.size());
    std::iota(items.begin(), items.end(), 0);
    std::stable_sort(items.begin(), items.end(), [&](uint32_t a, uint32_t b) { return item_users[a] > item_users[b]; });
    const auto add = [](const ScoredItem& scored, std::vector<ScoredItem>* list) {
      if (list->size() < kPopularLength) {
        list->push_back(scored);
      }
    };
    for (const uint32_t item : items) {
      if (item_users[item] == 0) {
        break;
      }
      const ScoredItem scored{ItemNumber{item}, static_cast<float>(item_users[item])};
      add(scored, &popular_);
      for (const CategoryNumber category : catalogue.Categories(ItemNumber{item})) {
        add(scored, &in_category_[Value(category)]);
      }
    }
  }

  // Of where there are no sessions.
  absl::Span<const ScoredItem> Neighbours(ItemNumber) const override { return {}; }
  absl::Span<const ScoredItem> Popular() const override { return popular_; }
  absl::Span<const ScoredItem> PopularIn(CategoryNumber category) const override {
    return in_category_[Value(category)];
  }
  absl::Span<const ScoredItem> PopularAmong(absl::string_view) const override { return {}; }   // Lists of users alone.

 private:
  std::vector<ScoredItem> popular_;
  std::vector<std::vector<ScoredItem>> in_category_;
};

ServedLists::ServedLists(const ServingWorld& world, absl::Span<const uint32_t> item_users)
    : world_(world), views_(std::make_unique<const Views>(*world.catalogue, item_users)) {}

ServedLists::~ServedLists() = default;

absl::StatusOr<std::vector<ScoredItem>> ServedLists::Serve(absl::Span<const ScoredItem> list,
                                                           absl::Span<const uint32_t> own, const LiveRequest* live,
                                                           size_t k) {
  UserHistory history;
  for (const uint32_t item : own) {
    history.Apply(v1::VIEW, ItemNumber{item}, DecisionKey{}, /*value_micros=*/0);
  }
  MergeInput input;
  input.catalogue = world_.catalogue;
  input.rules = world_.rules;
  input.views = views_.get();
  input.policy = world_.policy;
  input.weights = ResolveWeights(v1::SnapshotManifest::default_instance(), *world_.policy);
  input.now_unix_ms = world_.now_unix_ms;
  input.personal = list;
  input.history = &history;
  LivePartition partition;
  if (live != nullptr) {
    partition.facts = live->facts;
    input.live = absl::MakeConstSpan(&partition, 1);
    input.sessions = live->sessions;
    input.weights = live->weights;
    input.newcomer = live->newcomer;
  }
  input.limit = static_cast<int>(k);
  input.exclude_seen = true;
  input.without_reasons = true;
  TRIBUTARY_RETURN_IF_ERROR(Merge(input, &scratch_, &result_));
  std::vector<ScoredItem> served;
  for (const MergedItem& item : result_.items) {
    served.push_back({item.item, item.score});
  }
  return served;
}

}  // namespace tributary::batch
