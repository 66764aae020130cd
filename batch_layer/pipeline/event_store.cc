#include "batch_layer/pipeline/event_store.h"

#include <algorithm>
#include <filesystem>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status/status_macros.h"

namespace tributary::batch {
namespace {

constexpr size_t kBufferedEvents = 64 * 1024;      // Read or written at a time.

}  // namespace

absl::Status EventStore::Add(const DenseEvent& event) {
  if (events_of_.size() <= event.user) {
    events_of_.resize(event.user + 1);
  }
  ++events_of_[event.user];
  ++size_;
  events_.push_back(event);
  const bool full = events_.size() >= (arrivals_ ? std::min(kBufferedEvents, options_.in_memory) : options_.in_memory);
  return full ? SpillBuffer() : absl::OkStatus();
}

absl::Status EventStore::SpillBuffer() {
  if (!arrivals_) {
    TRIBUTARY_ASSIGN_OR_RETURN(SpillDirectory dir, SpillDirectory::Create(options_.dir));
    dir_.emplace(std::move(dir));
    TRIBUTARY_ASSIGN_OR_RETURN(arrivals_, SpillFile::Create(dir_->path() + "/arrivals"));
  }
  TRIBUTARY_RETURN_IF_ERROR(arrivals_->Write(events_.data(), events_.size() * sizeof(DenseEvent)));
  if (events_.size() > kBufferedEvents) {
    std::vector<DenseEvent>().swap(events_);
  }
  events_.clear();
  return absl::OkStatus();
}

absl::Status EventStore::Sort(absl::Span<const uint32_t> user_places, absl::Span<const uint32_t> item_places) {
  users_ = static_cast<uint32_t>(user_places.size());
  const auto renumber = [&](DenseEvent* event) {
    event->user = user_places[event->user];
    event->item = event->item == kNoItem ? kNoItem : item_places[event->item];
  };
  if (!arrivals_) {
    std::for_each(events_.begin(), events_.end(), [&](DenseEvent& event) { renumber(&event); });
    return absl::OkStatus();
  }
  TRIBUTARY_RETURN_IF_ERROR(SpillBuffer());
  std::vector<uint32_t> events_of(users_);
  for (size_t n = 0; n < events_of_.size(); ++n) {
    events_of[user_places[n]] = events_of_[n];
  }
  std::vector<uint32_t> slice_of(users_);
  for (uint32_t user = 0; user < users_; ++user) {
    if (slices_.empty() || slices_.back().events + events_of[user] > options_.in_memory) {
      Slice& slice = slices_.emplace_back();
      slice.first_user = user;
      slice.path = absl::StrCat(dir_->path(), "/slice-", slices_.size());
      TRIBUTARY_ASSIGN_OR_RETURN(slice.file, SpillFile::Create(slice.path));
    }
    slices_.back().events += events_of[user];
    ++slices_.back().users;
    slice_of[user] = static_cast<uint32_t>(slices_.size() - 1);
  }
  TRIBUTARY_RETURN_IF_ERROR(arrivals_->Rewind());
  std::vector<DenseEvent> buffer;
  for (size_t left = size_; left > 0; left -= buffer.size()) {
    buffer.resize(std::min(left, kBufferedEvents));
    TRIBUTARY_RETURN_IF_ERROR(arrivals_->Read(buffer.data(), buffer.size() * sizeof(DenseEvent)));
    for (DenseEvent& event : buffer) {
      renumber(&event);
      TRIBUTARY_RETURN_IF_ERROR(slices_[slice_of[event.user]].file->Write(&event, sizeof(event)));
    }
  }
  arrivals_.reset();
  std::filesystem::remove(dir_->path() + "/arrivals");
  std::vector<DenseEvent>().swap(events_);
  return absl::OkStatus();
}

absl::Status EventStore::ForEachSlice(const std::function<absl::Status(const EventSlice&)>& visit) {
  if (slices_.empty()) {
    return VisitSorted(0, users_, &events_, visit);
  }
  std::vector<DenseEvent> events;
  for (Slice& slice : slices_) {
    events.resize(slice.events);
    TRIBUTARY_RETURN_IF_ERROR(slice.file->Rewind());
    TRIBUTARY_RETURN_IF_ERROR(slice.file->Read(events.data(), events.size() * sizeof(DenseEvent)));
    TRIBUTARY_RETURN_IF_ERROR(VisitSorted(slice.first_user, slice.users, &events, visit));
  }
  return absl::OkStatus();
}

absl::Status EventStore::VisitSorted(uint32_t first_user, uint32_t users, std::vector<DenseEvent>* events,
                                     const std::function<absl::Status(const EventSlice&)>& visit) const {
  // Partition and offset are the order of the history.
  std::sort(events->begin(), events->end(), [](const DenseEvent& a, const DenseEvent& b) {
    return std::tie(a.user, a.partition, a.offset) < std::tie(b.user, b.partition, b.offset);
  });
  std::vector<size_t> begins(size_t{users} + 1);
  size_t event = 0;
  for (uint32_t user = 0; user < users; ++user) {
    begins[user] = event;
    while (event < events->size() && (*events)[event].user == first_user + user) {
      ++event;
    }
  }
  begins[users] = event;
  return visit(EventSlice(first_user, std::move(begins), *events));
}

void EventStore::ReleaseEvents() {
  std::vector<DenseEvent>().swap(events_);
  for (const Slice& slice : slices_) {
    std::filesystem::remove(slice.path);
  }
  slices_.clear();
  size_ = 0;
}

}  // namespace tributary::batch
