#ifndef TRIBUTARY_SERVING_LAYER_CLI_PRINT_ANSWER_H_
#define TRIBUTARY_SERVING_LAYER_CLI_PRINT_ANSWER_H_

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "serving_layer/cli/commands.h"
#include "serving_layer/cli/format.h"
#include "tributary/v1/recommendation_service.pb.h"

namespace tributary::serving {

// The titles of the items as the server's catalogue has them; empty where it has none. They are an extra: when the server
// stops answering, the rest stay empty.
std::vector<std::string> TitlesOf(const google::protobuf::RepeatedPtrField<v1::RecommendedItem>& items,
                                  ServingClient& client);

// Of a response with items and freshness: what it says, with titles, and what it rests on.
template <typename Response>
void PrintAnswer(const Response& response, ServingClient& client, Session& session) {
  if (session.json) {
    session.Print(response, "");
    return;
  }
  session.Print(response, absl::StrCat(FormatItems(response.items(), TitlesOf(response.items(), client)),
                                       FormatFreshness(response.freshness(), session.environment.clock.Now())));
}

}  // namespace tributary::serving

#endif  // TRIBUTARY_SERVING_LAYER_CLI_PRINT_ANSWER_H_
