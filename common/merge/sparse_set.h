#ifndef TRIBUTARY_COMMON_MERGE_SPARSE_SET_H_
#define TRIBUTARY_COMMON_MERGE_SPARSE_SET_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tributary {

// Entries by dense number, emptied in no time (Briggs and Torczon, 1993): `places_` may hold anything; a place counts only
// if the entry there says the same number. Entry has a member `uint32_t number` and a default state.
//
// Order:   entries() is in the order of insertion. References are good until the next insertion.
// Memory:  4 bytes a number of the universe, which only grows.
// Threads: not thread-safe.
template <typename Entry>
class SparseSet {
 public:
  // Empties the set; numbers below `universe` may be used from here on.
  void Clear(uint32_t universe) {
    if (places_.size() < universe) {
      places_.resize(universe, 0);
    }
    entries_.clear();
  }

  // Null: not in the set.
  Entry* Find(uint32_t number) {
    const uint32_t place = places_[number];
    return place < entries_.size() && entries_[place].number == number ? &entries_[place] : nullptr;
  }
  const Entry* Find(uint32_t number) const {
    const uint32_t place = places_[number];
    return place < entries_.size() && entries_[place].number == number ? &entries_[place] : nullptr;
  }

  // The entry of a number, inserted when it is new.
  Entry& operator[](uint32_t number) {
    if (Entry* entry = Find(number)) {
      return *entry;
    }
    places_[number] = static_cast<uint32_t>(entries_.size());
    Entry& entry = entries_.emplace_back();
    entry.number = number;
    return entry;
  }

  void Prefetch(uint32_t number) const { __builtin_prefetch(&places_[number]); }

  bool empty() const { return entries_.empty(); }
  std::vector<Entry>& entries() { return entries_; }
  const std::vector<Entry>& entries() const { return entries_; }

 private:
  std::vector<uint32_t> places_;
  std::vector<Entry> entries_;
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_MERGE_SPARSE_SET_H_
