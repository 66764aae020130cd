#include "tests/reference/reference.h"

#include <algorithm>
#include <cmath>

#include <google/protobuf/util/json_util.h>

namespace tributary::reference {
namespace {

constexpr int64_t kDayMs = 24LL * 3600 * 1000;
constexpr int64_t kSessionGapMs = 30LL * 60 * 1000;
constexpr int64_t kYear1980Ms = 315532800000;

int64_t EventTime(const v1::Event& event) {
  return event.event_time().seconds() * 1000 + event.event_time().nanos() / 1000000;
}

int64_t Micros(double amount) { return std::llround(amount * 1e6); }

bool HasUnits(v1::EventType type) { return type == v1::ADD_TO_CART || type == v1::PURCHASE || type == v1::RETURN; }

int64_t QuantityMicros(const v1::Event& event) {
  if (!event.has_quantity()) return HasUnits(event.type()) ? 1000000 : 0;
  return Micros(event.quantity());
}

bool Read(const std::string& value, v1::Event* event) {
  if (value.empty() || value.size() > 65536) return false;
  if (value[0] == '{') return google::protobuf::util::JsonStringToMessage(value, event).ok();
  return event->ParseFromString(value);
}

// An id may be empty here: whether it must be there is another question.
bool IsId(const std::string& id) {
  for (size_t i = 0; i < id.size(); ++i) {
    const int byte = static_cast<unsigned char>(id[i]);
    const int next = i + 1 < id.size() ? static_cast<unsigned char>(id[i + 1]) : 0;
    if (byte < 32 || byte == 127 || (byte == 0xc2 && next < 0xa0)) return false;
  }
  return id.size() <= 256;
}

bool HasWhatItsTypeNeeds(const v1::Event& event) {
  const bool item = !event.item_id().empty();
  switch (event.type()) {
    case v1::IMPRESSION:
    case v1::ADD_TO_CART:
    case v1::LIKE:
    case v1::DISLIKE:
      return item;
    case v1::RATING:
      return item && event.has_value() && event.value() <= 10;
    case v1::VIEW:
    case v1::CLICK:
      return item || !event.page().empty();
    case v1::PURCHASE:
    case v1::RETURN:
      return item || !event.category().empty();
    case v1::SEARCH:
      return !event.query().empty();
    case v1::ADJUSTMENT:
    case v1::ACCOUNT_CREATED:
    case v1::FORGET:
      return true;
    default:
      return false;
  }
}

bool IsValid(const v1::Event& event, int64_t record_time_unix_ms) {
  const auto amount = [](double a) { return std::isfinite(a) && a >= 0 && a <= 9e12; };
  if (event.user_id().empty() || !IsId(event.user_id()) || !IsId(event.item_id())) return false;
  if (!IsId(event.event_id()) || !IsId(event.session_id())) return false;
  if (event.page().size() > 1024 || event.query().size() > 1024) return false;
  if (event.category().size() > 256 || event.experiment_bucket().size() > 64) return false;
  if (event.attributes().size() > 32) return false;
  for (const auto& [key, value] : event.attributes()) {
    if (key.size() > 64 || value.size() > 1024) return false;
  }
  if (!amount(event.value()) || !amount(event.quantity()) || !HasWhatItsTypeNeeds(event)) return false;
  if (!event.has_event_time() || event.event_time().nanos() < 0 || event.event_time().nanos() >= 1000000000)
    return false;
  if (std::abs(static_cast<double>(event.event_time().seconds())) > 1e12) return false;
  return EventTime(event) >= kYear1980Ms && EventTime(event) <= record_time_unix_ms + kDayMs;
}

bool GivesFact(const v1::Event& event) { return event.type() != v1::IMPRESSION && event.type() != v1::ADJUSTMENT; }

bool NamesItem(const v1::Event& event) {
  return event.type() != v1::SEARCH && event.type() != v1::ACCOUNT_CREATED && event.type() != v1::FORGET;
}

}  // namespace

Reference::Reference(const std::vector<RawRecord>& records) {
  for (const RawRecord& record : records) Add(record);
}

void Reference::Add(const RawRecord& record) {
  const Place place{record.partition, record.offset};
  int64_t record_time = record.append_time_unix_ms;
  if (record.partition >= 0) {
    const auto [latest, first] = record_times_.try_emplace(record.partition, record_time);
    record_time = latest->second = std::max(latest->second, record_time);
  }
  v1::Event event;
  if (!Read(record.value, &event) || !IsValid(event, record_time)) {
    verdicts_[place] = Verdict::kRejected;
  } else if (IsDuplicate(event, place, record_time)) {
    verdicts_[place] = Verdict::kDuplicate;
  } else {
    verdicts_[place] = Verdict::kAccepted;
    accepted_.push_back({event, place, record_time});
  }
}

// Among the last 64 accepted ids of this user on this partition, not older than 24 h? Imports know repeats by file.
bool Reference::IsDuplicate(const v1::Event& event, const Place& place, int64_t record_time_unix_ms) const {
  if (event.event_id().empty() || place.partition < 0) return false;
  int ids = 0;
  for (auto earlier = accepted_.rbegin(); earlier != accepted_.rend() && ids < 64; ++earlier) {
    if (earlier->place.partition != place.partition || earlier->event.user_id() != event.user_id()) continue;
    if (earlier->event.event_id().empty()) continue;
    ++ids;
    if (earlier->event.event_id() == event.event_id()) {
      return record_time_unix_ms - earlier->record_time_unix_ms <= kDayMs;
    }
  }
  return false;
}

std::set<std::string> Reference::Users() const {
  std::set<std::string> users;
  for (const Accepted& accepted : accepted_) users.insert(accepted.event.user_id());
  return users;
}

std::set<Place> Reference::DatedAhead() const {
  std::set<Place> ahead;
  for (const auto& [event, place, record_time] : accepted_) {
    if (EventTime(event) > record_time) ahead.insert(place);
  }
  return ahead;
}

std::set<Place> Reference::LaterThan(int64_t lateness_ms) const {
  std::set<Place> late;
  for (const auto& [event, place, record_time] : accepted_) {
    if (record_time - EventTime(event) > lateness_ms) late.insert(place);
  }
  return late;
}

std::optional<int64_t> Reference::ForgottenUntil(const std::string& user, const Seen& seen) const {
  std::optional<int64_t> until;
  for (const auto& [event, place, record_time] : accepted_) {
    if (event.user_id() != user || event.type() != v1::FORGET || !seen(place)) continue;
    until = std::max(until.value_or(0), EventTime(event));
  }
  return until;
}

std::vector<Fact> Reference::Facts(const std::string& user, const Seen& seen) const {
  const std::optional<int64_t> forgotten_until = ForgottenUntil(user, seen);
  std::vector<Fact> facts;
  for (const auto& [event, place, record_time] : accepted_) {
    if (event.user_id() != user || !GivesFact(event) || !seen(place)) continue;
    if (forgotten_until && EventTime(event) <= *forgotten_until) continue;
    facts.push_back({event.type(), NamesItem(event) ? event.item_id() : "", {EventTime(event), place},
                     Micros(event.value()), event.session_id()});
  }
  std::sort(facts.begin(), facts.end(), [](const Fact& a, const Fact& b) { return a.when.place < b.when.place; });
  return facts;
}

std::vector<Fact> Reference::Impressions(const std::string& user, const Seen& seen) const {
  const std::optional<int64_t> forgotten_until = ForgottenUntil(user, seen);
  std::vector<Fact> impressions;
  for (const auto& [event, place, record_time] : accepted_) {
    if (event.user_id() != user || event.type() != v1::IMPRESSION || place.partition < 0 || !seen(place)) continue;
    if (forgotten_until && EventTime(event) <= *forgotten_until) continue;
    if (RecordTime(place.partition) - record_time > kDayMs) continue;
    impressions.push_back({event.type(), event.item_id(), {EventTime(event), place}, 0, ""});
  }
  std::sort(impressions.begin(), impressions.end(),
            [](const Fact& a, const Fact& b) { return a.when.place < b.when.place; });
  return impressions;
}

std::map<std::string, Fact> Reference::Latest(const std::string& user, const std::set<v1::EventType>& kinds,
                                              int64_t at_unix_ms, const Seen& seen) const {
  std::map<std::string, Fact> latest;
  for (const Fact& fact : Facts(user, seen)) {
    if (fact.item_id.empty() || !kinds.contains(fact.kind) || fact.when.event_time_unix_ms > at_unix_ms) continue;
    const auto [known, first] = latest.try_emplace(fact.item_id, fact);
    if (!first && fact.when > known->second.when) known->second = fact;
  }
  return latest;
}

std::set<std::string> Reference::Bought(const std::string& user, int64_t at_unix_ms, int64_t since_unix_ms,
                                        const Seen& seen) const {
  std::set<std::string> bought;
  for (const auto& [item, fact] : Latest(user, {v1::PURCHASE, v1::RETURN}, at_unix_ms, seen)) {
    if (fact.kind == v1::PURCHASE && fact.when.event_time_unix_ms >= since_unix_ms) bought.insert(item);
  }
  return bought;
}

std::set<std::string> Reference::Disliked(const std::string& user, int64_t at_unix_ms, int64_t low_micros,
                                          const Seen& seen) const {
  std::set<std::string> disliked;
  for (const auto& [item, fact] : Latest(user, {v1::LIKE, v1::DISLIKE, v1::RATING}, at_unix_ms, seen)) {
    const bool low = fact.kind == v1::RATING && fact.value_micros <= low_micros;
    if (fact.kind == v1::DISLIKE || low) disliked.insert(item);
  }
  return disliked;
}

int64_t Reference::Sessions(const std::string& user, const Seen& seen) const {
  const std::optional<int64_t> forgotten_until = ForgottenUntil(user, seen);
  std::set<std::string> ids;
  std::vector<int64_t> times;
  for (const auto& [event, place, record_time] : accepted_) {
    if (event.user_id() != user || !GivesFact(event) || !seen(place)) continue;
    if (forgotten_until && EventTime(event) <= *forgotten_until) continue;
    if (event.session_id().empty()) {
      times.push_back(EventTime(event));
    } else {
      ids.insert(event.session_id());
    }
  }
  std::sort(times.begin(), times.end());
  auto sessions = static_cast<int64_t>(ids.size());
  for (size_t i = 0; i < times.size(); ++i) {
    if (i == 0 || times[i] - times[i - 1] > kSessionGapMs) ++sessions;
  }
  return sessions;
}

std::map<std::pair<TotalKey, int64_t>, Totals> Reference::AllWindows(const Seen& seen) const {
  std::map<std::pair<TotalKey, int64_t>, Totals> all;
  for (const auto& [event, place, record_time] : accepted_) {
    if (!seen(place)) continue;
    const int64_t quarter = EventTime(event) / (15 * 60 * 1000);   // No accepted event is older than 1980.
    const auto add = [&, &e = event](v1::Measure measure, const std::string& key) {
      Totals& totals = all[{{measure, key, e.type()}, quarter}];
      totals.events += 1;
      totals.quantity_micros += QuantityMicros(e);
      totals.value_micros += Micros(e.value());
    };
    add(v1::OVERALL, "");
    if (!event.item_id().empty()) add(v1::BY_ITEM, event.item_id());
    if (!event.page().empty()) add(v1::BY_PAGE, event.page());
    if (!event.category().empty()) add(v1::BY_CATEGORY, event.category());
    const auto store = event.attributes().find("store");
    if (store != event.attributes().end() && !store->second.empty()) add(v1::BY_STORE, store->second);
    if (!event.experiment_bucket().empty()) add(v1::BY_BUCKET, event.experiment_bucket());
  }
  return all;
}

std::map<TotalKey, Totals> Reference::AllTotals(const Seen& seen) const {
  std::map<TotalKey, Totals> all;
  for (const auto& [key, totals] : AllWindows(seen)) {
    Totals& sum = all[key.first];
    sum.events += totals.events;
    sum.quantity_micros += totals.quantity_micros;
    sum.value_micros += totals.value_micros;
  }
  return all;
}

}  // namespace tributary::reference
