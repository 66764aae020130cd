#include "common/user_state/fact.h"

#include <utility>

namespace tributary {
namespace {

bool NamesNoItem(EventType kind) {
  return kind == EventType::SEARCH || kind == EventType::ACCOUNT_CREATED || kind == EventType::FORGET;
}

const std::string& TextOf(const Event& event) {
  if (event.type == EventType::VIEW || event.type == EventType::CLICK) return event.page;
  return event.category;
}

}  // namespace

bool GivesFact(EventType kind) { return kind != EventType::IMPRESSION && kind != EventType::ADJUSTMENT; }

FactView FactViewOf(const Event& event, Offset offset, int64_t record_time_unix_ms) {
  FactView fact;
  fact.kind = event.type;
  if (!NamesNoItem(event.type)) fact.item_id = event.item_id;
  fact.event_time_unix_ms = event.event_time_unix_ms;
  fact.offset = offset;
  fact.value_micros = event.value_micros;
  fact.quantity_micros = event.quantity_micros;
  fact.session_id = event.session_id;
  if (event.type == EventType::SEARCH) {
    fact.text = event.query;
  } else if (fact.item_id.empty()) {
    fact.text = TextOf(event);
  }
  fact.record_time_unix_ms = record_time_unix_ms;
  return fact;
}

std::optional<Fact> FactOf(const Event& event, Offset offset, int64_t record_time_unix_ms) {
  if (!GivesFact(event.type)) return std::nullopt;
  return FactOf(FactViewOf(event, offset, record_time_unix_ms));
}

Fact FactOf(const FactView& view) {
  return {.kind = view.kind,
          .item_id = std::string(view.item_id),
          .event_time_unix_ms = view.event_time_unix_ms,
          .offset = view.offset,
          .value_micros = view.value_micros,
          .quantity_micros = view.quantity_micros,
          .session_id = std::string(view.session_id),
          .text = std::string(view.text),
          .record_time_unix_ms = view.record_time_unix_ms};
}

FactView ViewOf(const v1::Fact& message) {
  return {.kind = message.kind(),
          .item_id = message.item_id(),
          .event_time_unix_ms = message.event_time_unix_ms(),
          .offset = Offset{message.offset()},
          .value_micros = message.value_micros(),
          .quantity_micros = message.quantity_micros(),
          .session_id = message.session_id(),
          .text = message.text(),
          .record_time_unix_ms = message.record_time_unix_ms()};
}

Fact FromProto(const v1::Fact& message) { return FactOf(ViewOf(message)); }

void ToProto(const Fact& fact, v1::Fact* message) {
  message->set_kind(fact.kind);
  message->set_item_id(fact.item_id);
  message->set_event_time_unix_ms(fact.event_time_unix_ms);
  message->set_offset(Value(fact.offset));
  message->set_value_micros(fact.value_micros);
  message->set_quantity_micros(fact.quantity_micros);
  message->set_session_id(fact.session_id);
  message->set_text(fact.text);
  message->set_record_time_unix_ms(fact.record_time_unix_ms);
}

}  // namespace tributary
