#include "batch_layer/import/mapping.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>
#include <re2/re2.h>

#include <cerrno>
#include <cmath>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "common/status/status_macros.h"

namespace tributary::batch {
namespace {

using Values = absl::Span<const absl::string_view>;

// Collects the first problem of a text-format parse.
class FirstError final : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, int column, const std::string& message) override {
    if (text_.empty()) {
      text_ = absl::StrCat("line=", line + 1, " column=", column + 1, " cause=", message);
    }
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// Gives each column that a mapping names its place among the values.
class ColumnTable {
 public:
  size_t IndexOf(const std::string& name) {
    const auto [it, added] = indexes_.try_emplace(name, names_.size());
    if (added) {
      names_.push_back(name);
    }
    return it->second;
  }
  const std::vector<std::string>& names() const { return names_; }

 private:
  absl::flat_hash_map<std::string, size_t> indexes_;
  std::vector<std::string> names_;
};

// A compiled v1::Template: literals and columns in turn.
class CompiledTemplate {
 public:
  static absl::StatusOr<CompiledTemplate> Create(const v1::Template& source, absl::string_view field, ColumnTable& columns) {
    CompiledTemplate compiled;
    compiled.strip_suffix_ = source.strip_suffix();
    compiled.upper_case_ = source.upper_case();
    const absl::string_view text = source.text();
    std::string literal;
    for (size_t i = 0; i < text.size(); ++i) {
      const bool doubled = i + 1 < text.size() && text[i + 1] == text[i];
      if ((text[i] == '{' || text[i] == '}') && doubled) {
        literal.push_back(text[i++]);
      } else if (text[i] == '{') {
        const size_t end = text.find('}', i);
        if (end == absl::string_view::npos || end == i + 1) {
          return absl::InvalidArgumentError(absl::StrCat("template has no column between its braces: field=", field, " text=", text));
        }
        compiled.parts_.push_back({std::move(literal), columns.IndexOf(std::string(text.substr(i + 1, end - i - 1)))});
        literal.clear();
        i = end;
      } else if (text[i] == '}') {
        return absl::InvalidArgumentError(absl::StrCat("template closes a brace that is not open: field=", field, " text=", text));
      } else {
        literal.push_back(text[i]);
      }
    }
    compiled.tail_ = std::move(literal);
    return compiled;
  }

  // Empty: unset.
  std::string Fill(Values values) const {
    std::string text;
    for (const Part& part : parts_) {
      if (values[part.column].empty()) {
        return "";
      }
      absl::StrAppend(&text, part.literal, values[part.column]);
    }
    text += tail_;
    text.resize(absl::StripSuffix(text, strip_suffix_).size());
    if (upper_case_) {
      absl::AsciiStrToUpper(&text);
    }
    return text;
  }

 private:
  struct Part {
    std::string literal;
    size_t column = 0;
  };
  std::vector<Part> parts_;
  std::string tail_;
  std::string strip_suffix_;
  bool upper_case_ = false;
};

// Compiles `source` when it is there.
absl::StatusOr<std::optional<CompiledTemplate>> Optional(bool there, const v1::Template& source, absl::string_view field,
                                                         ColumnTable& columns) {
  if (!there) {
    return std::optional<CompiledTemplate>();
  }
  TRIBUTARY_ASSIGN_OR_RETURN(CompiledTemplate compiled, CompiledTemplate::Create(source, field, columns));
  return std::optional<CompiledTemplate>(std::move(compiled));
}

std::string FillOr(const std::optional<CompiledTemplate>& compiled, Values values) {
  return compiled ? compiled->Fill(values) : "";
}

std::optional<double> ToNumber(absl::string_view text) {
  double number = 0;
  if (!absl::SimpleAtod(text, &number) || !std::isfinite(number)) {
    return std::nullopt;
  }
  return number;
}

struct CompiledCondition {
  size_t column = 0;
  v1::Condition test;
  std::shared_ptr<const RE2> pattern;

  bool Holds(Values values) const { return Test(values[column]) != test.negate(); }

 private:
  bool Test(absl::string_view value) const {
    switch (test.test_case()) {
      case v1::Condition::kEquals:
        return value == test.equals();
      case v1::Condition::kStartsWith:
        return absl::StartsWith(value, test.starts_with());
      case v1::Condition::kMatches:
        return RE2::FullMatch(re2::StringPiece(value.data(), value.size()), *pattern);
      case v1::Condition::kLessThan: {
        const std::optional<double> number = ToNumber(value);
        return number && *number < test.less_than();
      }
      case v1::Condition::kGreaterThan: {
        const std::optional<double> number = ToNumber(value);
        return number && *number > test.greater_than();
      }
      case v1::Condition::TEST_NOT_SET:
        break;
    }
    return false;
  }
};

struct CompiledRule {
  std::vector<CompiledCondition> when;
  v1::EventType type = v1::EVENT_TYPE_UNSPECIFIED;    // Unspecified: skip.

  bool Holds(Values values) const {
    for (const CompiledCondition& condition : when) {
      if (!condition.Holds(values)) {
        return false;
      }
    }
    return true;
  }
};

absl::StatusOr<CompiledRule> CompileRule(const v1::TypeRule& source, int index, ColumnTable& columns) {
  const std::string field = absl::StrCat("type_rules[", index, "]");
  CompiledRule rule;
  if (source.outcome_case() == v1::TypeRule::OUTCOME_NOT_SET || (source.has_skip() && !source.skip()) ||
      (source.has_type() && source.type() == v1::EVENT_TYPE_UNSPECIFIED)) {
    return absl::InvalidArgumentError(absl::StrCat("rule has neither a type nor `skip: true`: field=", field));
  }
  rule.type = source.type();
  for (const v1::Condition& test : source.when()) {
    if (test.column().empty() || test.test_case() == v1::Condition::TEST_NOT_SET) {
      return absl::InvalidArgumentError(absl::StrCat("condition needs a column and a test: field=", field));
    }
    CompiledCondition condition{columns.IndexOf(test.column()), test, nullptr};
    if (test.has_matches()) {
      condition.pattern = std::make_shared<const RE2>(test.matches(), RE2::Quiet);
      if (!condition.pattern->ok()) {
        return absl::InvalidArgumentError(
            absl::StrCat("pattern is malformed: field=", field, " pattern=", test.matches(), " cause=", condition.pattern->error()));
      }
    }
    rule.when.push_back(std::move(condition));
  }
  return rule;
}

class CompiledAmount {
 public:
  static absl::StatusOr<CompiledAmount> Create(const v1::Amount& source, absl::string_view field, ColumnTable& columns) {
    if (source.column().empty()) {
      return absl::InvalidArgumentError(absl::StrCat("amount has no column: field=", field));
    }
    CompiledAmount amount;
    amount.column_ = columns.IndexOf(source.column());
    if (!source.times_column().empty()) {
      amount.times_ = columns.IndexOf(source.times_column());
    }
    amount.scale_ = source.scale() == 0 ? 1 : source.scale();
    amount.absolute_ = source.absolute();
    return amount;
  }

  // Unset when a column is empty. False: a column is no number.
  bool Compute(Values values, std::optional<double>* result) const {
    result->reset();
    double amount = scale_;
    for (const std::optional<size_t> column : {std::optional<size_t>(column_), times_}) {
      if (!column) {
        continue;
      }
      if (values[*column].empty()) {
        return true;
      }
      const std::optional<double> number = ToNumber(values[*column]);
      if (!number) {
        return false;
      }
      amount *= *number;
    }
    *result = absolute_ ? std::abs(amount) : amount;
    return true;
  }

 private:
  size_t column_ = 0;
  std::optional<size_t> times_;
  double scale_ = 1;
  bool absolute_ = false;
};

absl::StatusOr<std::optional<CompiledAmount>> OptionalAmount(bool there, const v1::Amount& source, absl::string_view field,
                                                             ColumnTable& columns) {
  if (!there) {
    return std::optional<CompiledAmount>();
  }
  TRIBUTARY_ASSIGN_OR_RETURN(CompiledAmount amount, CompiledAmount::Create(source, field, columns));
  return std::optional<CompiledAmount>(amount);
}

class CompiledTime {
 public:
  static absl::StatusOr<CompiledTime> Create(const v1::TimeColumn& source, ColumnTable& columns) {
    if (source.format().empty()) {
      return absl::InvalidArgumentError("mapping has no time format: field=event_time.format");
    }
    CompiledTime time;
    TRIBUTARY_ASSIGN_OR_RETURN(time.value_, CompiledTemplate::Create(source.value(), "event_time.value", columns));
    time.format_ = source.format();
    time.zone_ = absl::UTCTimeZone();
    if (!source.zone().empty() && !absl::LoadTimeZone(source.zone(), &time.zone_)) {
      return absl::InvalidArgumentError(absl::StrCat("time zone is not known: field=event_time.zone zone=", source.zone()));
    }
    return time;
  }

  // Why there is no time; empty: `result` has it.
  std::string Parse(Values values, absl::Time* result) const {
    const std::string text = value_.Fill(values);
    if (text.empty()) {
      return "event_time is empty";
    }
    if (format_ == "unix_s" || format_ == "unix_ms") {
      const std::optional<double> number = ToNumber(text);
      if (!number || std::abs(*number) > 1e15) {
        return absl::StrCat("event_time is no number of ", format_ == "unix_s" ? "seconds" : "milliseconds", ": ", text);
      }
      *result = absl::FromUnixMillis(std::llround(format_ == "unix_s" ? *number * 1000 : *number));
      return "";
    }
    std::string error;
    if (!absl::ParseTime(format_, text, zone_, result, &error)) {
      return absl::StrCat("event_time does not have the format of the mapping: ", text, " (", error, ")");
    }
    return "";
  }

 private:
  CompiledTemplate value_;
  std::string format_;
  absl::TimeZone zone_;
};

class RowMapperImpl final : public RowMapper {
 public:
  absl::Status Compile(const v1::ImportMapping& mapping);
  const std::vector<std::string>& columns() const override { return columns_.names(); }
  std::variant<MappedRow, SkippedRow, RejectedRow> Map(Values values) const override;

 private:
  CatalogueRow MapCatalogue(Values values, v1::EventType type) const;

  ColumnTable columns_;
  CompiledTime time_;
  std::vector<CompiledRule> rules_;
  CompiledTemplate user_;
  std::optional<CompiledTemplate> anonymous_user_;
  std::optional<CompiledTemplate> item_, page_, category_, query_, session_, bucket_;
  std::optional<CompiledAmount> value_, quantity_;
  std::vector<std::pair<std::string, CompiledTemplate>> attributes_;
  std::optional<CompiledTemplate> catalogue_item_, catalogue_title_, catalogue_category_;
  std::optional<size_t> price_column_;
};

absl::Status RowMapperImpl::Compile(const v1::ImportMapping& m) {
  if (m.format() != v1::CSV && m.format() != v1::JSON_LINES) {
    return absl::InvalidArgumentError("mapping has no file format (CSV or JSON_LINES): field=format");
  }
  if (m.delimiter().size() > 1) {
    return absl::InvalidArgumentError(absl::StrCat("delimiter must be one byte: field=delimiter value=", m.delimiter()));
  }
  if (!m.has_user_id()) {
    return absl::InvalidArgumentError("mapping names no user: field=user_id");
  }
  if (m.type_rules().empty()) {
    return absl::InvalidArgumentError("mapping names no type: field=type_rules");
  }
  TRIBUTARY_ASSIGN_OR_RETURN(time_, CompiledTime::Create(m.event_time(), columns_));
  for (int i = 0; i < m.type_rules_size(); ++i) {
    TRIBUTARY_ASSIGN_OR_RETURN(CompiledRule rule, CompileRule(m.type_rules(i), i, columns_));
    rules_.push_back(std::move(rule));
  }
  TRIBUTARY_ASSIGN_OR_RETURN(user_, CompiledTemplate::Create(m.user_id(), "user_id", columns_));
  TRIBUTARY_ASSIGN_OR_RETURN(
      anonymous_user_, Optional(m.has_anonymous_user_id(), m.anonymous_user_id(), "anonymous_user_id", columns_));
  TRIBUTARY_ASSIGN_OR_RETURN(item_, Optional(m.has_item_id(), m.item_id(), "item_id", columns_));
  TRIBUTARY_ASSIGN_OR_RETURN(page_, Optional(m.has_page(), m.page(), "page", columns_));
  TRIBUTARY_ASSIGN_OR_RETURN(category_, Optional(m.has_category(), m.category(), "category", columns_));
  TRIBUTARY_ASSIGN_OR_RETURN(query_, Optional(m.has_query(), m.query(), "query", columns_));
  TRIBUTARY_ASSIGN_OR_RETURN(session_, Optional(m.has_session_id(), m.session_id(), "session_id", columns_));
  TRIBUTARY_ASSIGN_OR_RETURN(bucket_, Optional(m.has_experiment_bucket(), m.experiment_bucket(), "experiment_bucket", columns_));
  TRIBUTARY_ASSIGN_OR_RETURN(value_, OptionalAmount(m.has_value(), m.value(), "value", columns_));
  TRIBUTARY_ASSIGN_OR_RETURN(quantity_, OptionalAmount(m.has_quantity(), m.quantity(), "quantity", columns_));
  for (const v1::AttributeColumn& attribute : m.attributes()) {
    TRIBUTARY_ASSIGN_OR_RETURN(CompiledTemplate compiled, CompiledTemplate::Create(attribute.value(), "attributes.value", columns_));
    attributes_.emplace_back(attribute.key(), std::move(compiled));
  }
  if (m.has_catalogue()) {
    const v1::CatalogueMapping& c = m.catalogue();
    if (!c.has_item_id()) {
      return absl::InvalidArgumentError("catalogue names no item: field=catalogue.item_id");
    }
    TRIBUTARY_ASSIGN_OR_RETURN(catalogue_item_, Optional(true, c.item_id(), "catalogue.item_id", columns_));
    TRIBUTARY_ASSIGN_OR_RETURN(catalogue_title_, Optional(c.has_title(), c.title(), "catalogue.title", columns_));
    TRIBUTARY_ASSIGN_OR_RETURN(catalogue_category_, Optional(c.has_category(), c.category(), "catalogue.category", columns_));
    if (!c.price_column().empty()) {
      price_column_ = columns_.IndexOf(c.price_column());
    }
  }
  return absl::OkStatus();
}

std::variant<MappedRow, SkippedRow, RejectedRow> RowMapperImpl::Map(Values values) const {
  const CompiledRule* rule = nullptr;
  for (const CompiledRule& candidate : rules_) {
    if (candidate.Holds(values)) {
      rule = &candidate;
      break;
    }
  }
  if (rule == nullptr) {
    return RejectedRow{"no rule of the mapping gives the row a type"};
  }
  if (rule->type == v1::EVENT_TYPE_UNSPECIFIED) {
    return SkippedRow{};
  }
  MappedRow row;
  row.event.set_type(rule->type);
  absl::Time time;
  if (std::string problem = time_.Parse(values, &time); !problem.empty()) {
    return RejectedRow{std::move(problem)};
  }
  const int64_t ms = absl::ToUnixMillis(time);
  const int64_t seconds = ms >= 0 ? ms / 1000 : -((-ms + 999) / 1000);
  row.event.mutable_event_time()->set_seconds(seconds);
  row.event.mutable_event_time()->set_nanos(static_cast<int32_t>((ms - seconds * 1000) * 1000000));

  std::string user = user_.Fill(values);
  if (user.empty() && anonymous_user_) {
    user = anonymous_user_->Fill(values);
    row.event.set_anonymous(true);
  }
  row.event.set_user_id(std::move(user));
  row.event.set_item_id(FillOr(item_, values));
  row.event.set_page(FillOr(page_, values));
  row.event.set_category(FillOr(category_, values));
  row.event.set_query(FillOr(query_, values));
  row.event.set_session_id(FillOr(session_, values));
  row.event.set_experiment_bucket(FillOr(bucket_, values));
  std::optional<double> amount;
  if (value_) {
    if (!value_->Compute(values, &amount)) {
      return RejectedRow{"value is no number"};
    }
    if (amount) {
      row.event.set_value(*amount);
    }
  }
  if (quantity_) {
    if (!quantity_->Compute(values, &amount)) {
      return RejectedRow{"quantity is no number"};
    }
    if (amount) {
      row.event.set_quantity(*amount);
    }
  }
  for (const auto& [key, source] : attributes_) {
    if (std::string text = source.Fill(values); !text.empty()) {
      (*row.event.mutable_attributes())[key] = std::move(text);
    }
  }
  row.catalogue = MapCatalogue(values, rule->type);
  return row;
}

CatalogueRow RowMapperImpl::MapCatalogue(Values values, v1::EventType type) const {
  CatalogueRow row;
  if (!catalogue_item_ || type == v1::ADJUSTMENT) {
    return row;
  }
  row.item_id = catalogue_item_->Fill(values);
  row.title = FillOr(catalogue_title_, values);
  row.category = FillOr(catalogue_category_, values);
  if (price_column_) {
    row.price = ToNumber(values[*price_column_]);
    if (row.price && *row.price <= 0) {
      row.price.reset();
    }
  }
  return row;
}

}  // namespace

absl::StatusOr<v1::ImportMapping> LoadMapping(const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    return absl::NotFoundError(absl::StrCat("mapping file cannot be opened: path=", path));
  }
  std::stringstream text;
  text << file.rdbuf();
  v1::ImportMapping mapping;
  FirstError error;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  if (!parser.ParseFromString(text.str(), &mapping)) {
    return absl::InvalidArgumentError(absl::StrCat("mapping file is malformed: path=", path, " ", error.text()));
  }
  TRIBUTARY_RETURN_IF_ERROR(RowMapper::Create(mapping).status());
  return mapping;
}

absl::StatusOr<std::unique_ptr<RowMapper>> RowMapper::Create(const v1::ImportMapping& mapping) {
  auto mapper = std::make_unique<RowMapperImpl>();
  TRIBUTARY_RETURN_IF_ERROR(mapper->Compile(mapping));
  return mapper;
}

}  // namespace tributary::batch
