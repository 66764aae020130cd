#include "common/merge/merge.h"

#include "absl/strings/str_cat.h"
#include "common/merge/merger.h"

namespace tributary {
namespace {

constexpr int kMaxLimit = 1000;

absl::Status Validate(const MergeInput& input) {
  const auto refused = [](absl::string_view field, absl::string_view reason) {
    return absl::InvalidArgumentError(absl::StrCat("merge refused: field=", field, " reason=\"", reason, "\""));
  };
  if (input.catalogue == nullptr) {
    return refused("catalogue", "required");
  }
  if (input.policy == nullptr) {
    return refused("policy", "required");
  }
  if (input.limit < 1 || input.limit > kMaxLimit) {
    return refused("limit", "1 to 1,000");
  }
  if (input.max_per_category < 0) {
    return refused("max_per_category", "must be >= 0");
  }
  if (input.popular_category && Value(*input.popular_category) >= input.catalogue->category_count()) {
    return refused("popular_category", "not of the catalogue");
  }
  return absl::OkStatus();
}

}  // namespace

MergeScratch::MergeScratch() : buffers_(std::make_unique<Buffers>()) {}
MergeScratch::~MergeScratch() = default;
MergeScratch::MergeScratch(MergeScratch&&) noexcept = default;
MergeScratch& MergeScratch::operator=(MergeScratch&&) noexcept = default;

absl::Status Merge(const MergeInput& input, MergeScratch* scratch, MergeResult* result) {
  result->items.clear();
  result->reasons.clear();
  result->unknown_user = result->list_short = result->truncated = result->more = false;
  result->explanation.reset();
  result->absent.clear();
  if (absl::Status status = Validate(input); !status.ok()) {
    return status;
  }
  return Merger(input, scratch, result).Run();
}

}  // namespace tributary
