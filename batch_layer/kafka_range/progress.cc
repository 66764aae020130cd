#include "batch_layer/kafka_range/progress.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace tributary::batch {
namespace {

constexpr absl::Duration kRedrawEvery = absl::Milliseconds(200);
constexpr absl::Duration kLogEvery = absl::Seconds(10);
constexpr int kBarWidth = 20;
constexpr char kClearLine[] = "\r\x1b[K";

double Share(const RangeProgress& progress) {
  return progress.all <= 0
             ? 1
             : std::clamp(static_cast<double>(progress.done) / static_cast<double>(progress.all), 0.0, 1.0);
}

}  // namespace

std::string FormatProgress(const RangeProgress& progress, absl::Duration spent) {
  std::string text = absl::StrFormat("%d of %d offsets (%d %%), %d events", progress.done, progress.all,
                                     static_cast<int>(100 * Share(progress)), progress.accepted);
  const double seconds = absl::ToDoubleSeconds(spent);
  if (progress.done > 0 && seconds > 0) {
    const double left = static_cast<double>(progress.all - progress.done);
    absl::StrAppendFormat(&text, ", %.0f offsets/s", static_cast<double>(progress.done) / seconds);
    if (left > 0) {
      const absl::Duration to_go = spent * (left / static_cast<double>(progress.done));
      absl::StrAppend(&text, ", ", absl::FormatDuration(absl::Ceil(to_go, absl::Seconds(1))), " to go");
    }
  }
  return text;
}

std::string ProgressBar(const RangeProgress& progress) {
  const auto filled = static_cast<size_t>(kBarWidth * Share(progress));
  return absl::StrCat("[", std::string(filled, '#'), std::string(kBarWidth - filled, '-'), "]");
}

ProgressLine::ProgressLine(std::ostream* terminal, std::function<void(absl::string_view)> log, const Clock& clock)
    : terminal_(terminal), log_(std::move(log)), clock_(clock) {}

ProgressLine::~ProgressLine() { Erase(); }

void ProgressLine::Erase() {
  if (drawn_) {
    *terminal_ << kClearLine << std::flush;
    drawn_ = false;
  }
}

void ProgressLine::Update(const RangeProgress& progress) {
  const absl::Time now = clock_.Now();
  if (began_ == absl::InfinitePast()) {
    began_ = told_ = now;
  }
  if (progress.done >= progress.all) {
    Erase();
    return;
  }
  if (now - told_ < (terminal_ != nullptr ? kRedrawEvery : kLogEvery)) {
    return;
  }
  told_ = now;
  const std::string text = FormatProgress(progress, now - began_);
  if (terminal_ == nullptr) {
    log_(text);
    return;
  }
  *terminal_ << kClearLine << "history " << ProgressBar(progress) << " " << text << std::flush;
  drawn_ = true;
}

}  // namespace tributary::batch
