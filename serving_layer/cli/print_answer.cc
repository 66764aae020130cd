#include "serving_layer/cli/print_answer.h"

namespace tributary::serving {

std::vector<std::string> TitlesOf(const google::protobuf::RepeatedPtrField<v1::RecommendedItem>& items,
                                  ServingClient& client) {
  std::vector<std::string> titles(items.size());
  for (int i = 0; i < items.size(); ++i) {
    v1::GetItemRequest request;
    request.set_item_id(items[i].item_id());
    const absl::StatusOr<v1::GetItemResponse> response = client.GetItem(request);
    if (response.ok()) {
      titles[i] = response->item().title();
    } else if (!absl::IsNotFound(response.status())) {
      break;
    }
  }
  return titles;
}

}  // namespace tributary::serving
