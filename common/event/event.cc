#include "common/event/event.h"

#include <cmath>
#include <limits>

#include <xxhash.h>

namespace tributary {
namespace {

constexpr double kMicrosPerUnit = 1e6;

// The double that validation rounds back to exactly `micros`. Beyond 2^51 micros the quotient may be a step off.
double AmountOf(int64_t micros) {
  double amount = static_cast<double>(micros) / kMicrosPerUnit;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  while (std::llround(amount * kMicrosPerUnit) < micros) amount = std::nextafter(amount, kInfinity);
  while (std::llround(amount * kMicrosPerUnit) > micros) amount = std::nextafter(amount, 0);
  return amount;
}

}  // namespace

v1::Event ToProto(const Event& event) {
  v1::Event message;
  message.set_user_id(event.user_id);
  message.set_type(event.type);
  google::protobuf::Timestamp* time = message.mutable_event_time();
  time->set_seconds(event.event_time_unix_ms / 1000);
  time->set_nanos(static_cast<int32_t>(event.event_time_unix_ms % 1000) * 1000000);
  message.set_item_id(event.item_id);
  message.set_page(event.page);
  message.set_category(event.category);
  message.set_query(event.query);
  message.set_session_id(event.session_id);
  if (event.value_micros != 0 || event.type == EventType::RATING) message.set_value(AmountOf(event.value_micros));
  if (event.quantity_micros != 0 || HasUnits(event.type)) message.set_quantity(AmountOf(event.quantity_micros));
  message.set_anonymous(event.anonymous);
  for (const auto& [key, value] : event.attributes) (*message.mutable_attributes())[key] = value;
  message.set_experiment_bucket(event.experiment_bucket);
  return message;
}

uint64_t HashEventId(absl::string_view event_id) {
  const uint64_t hash = XXH64(event_id.data(), event_id.size(), 0);
  return hash == 0 ? 1 : hash;
}

bool HasUnits(EventType type) {
  return type == EventType::ADD_TO_CART || type == EventType::PURCHASE || type == EventType::RETURN;
}

}  // namespace tributary
