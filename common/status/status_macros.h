#ifndef TRIBUTARY_COMMON_STATUS_STATUS_MACROS_H_
#define TRIBUTARY_COMMON_STATUS_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Returns from the calling function when `expression` (an absl::Status) is not OK.
#define TRIBUTARY_RETURN_IF_ERROR(expression)                 \
  do {                                                        \
    if (absl::Status status_ = (expression); !status_.ok()) { \
      return status_;                                         \
    }                                                         \
  } while (false)

#define TRIBUTARY_STATUS_CONCAT_INNER(a, b) a##b
#define TRIBUTARY_STATUS_CONCAT(a, b) TRIBUTARY_STATUS_CONCAT_INNER(a, b)

// TRIBUTARY_ASSIGN_OR_RETURN(auto x, F()): x is F's value, or the calling function returns F's status.
#define TRIBUTARY_ASSIGN_OR_RETURN(declaration, expression) \
  TRIBUTARY_ASSIGN_OR_RETURN_INNER(TRIBUTARY_STATUS_CONCAT(status_or_, __LINE__), declaration, expression)
#define TRIBUTARY_ASSIGN_OR_RETURN_INNER(status_or, declaration, expression) \
  auto status_or = (expression);                                            \
  if (!status_or.ok()) {                                                    \
    return std::move(status_or).status();                                   \
  }                                                                         \
  declaration = *std::move(status_or)

#endif  // TRIBUTARY_COMMON_STATUS_STATUS_MACROS_H_
