// The mappings of deploy/mappings on the columns they are for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "batch_layer/import/importer.h"
#include "tests/fakes/temp_dir.h"

namespace tributary::batch {
namespace {

using testing::ElementsAre;

constexpr char kMappings[] = TRIBUTARY_SOURCE_DIR "/deploy/mappings/";

struct Converted {
  ImportReport report;
  std::vector<v1::Event> events;
};

Converted Convert(const std::string& mapping, const std::string& rows) {
  const TempDir dir;
  Converted converted;
  const auto report = ConvertFile({.file = dir.Write("rows.csv", rows), .mapping_file = kMappings + mapping},
                                  [&converted](const v1::Event& event) {
                                    converted.events.push_back(event);
                                    return absl::OkStatus();
                                  });
  EXPECT_TRUE(report.ok()) << report.status();
  if (report.ok()) converted.report = *report;
  return converted;
}

std::vector<v1::EventType> Types(const Converted& converted) {
  std::vector<v1::EventType> types;
  for (const v1::Event& event : converted.events) types.push_back(event.type());
  return types;
}

TEST(ShippedMappingsTest, WebAnalytics) {
  const Converted converted = Convert("web_analytics.mapping.textproto",
                                      "user_id,page,action,timestamp,session_id,value\n"
                                      "u1,/news/17,page_view,2026-03-01 09:30:00,s1,\n"
                                      ",/news/18,View,2026-03-01 09:30:01.250,s2,\n"
                                      "u1,/offer,purchase,2026-03-01 09:31:00,s1,-12.50\n"
                                      "u1,/offer,scroll,2026-03-01 09:31:02,s1,3\n"
                                      "u1,/offer,teleport,2026-03-01 09:31:03,s1,\n"
                                      "u1,/offer,click,2026-03-01 09:31:04,s1,much\n"
                                      ",/offer,click,2026-03-01 09:31:05,,\n"
                                      "u1,,click,2026-03-01 09:31:06,s1,\n"
                                      "u2,,signup,2026-03-01 09:31:07,s3,\n");
  EXPECT_THAT(Types(converted), ElementsAre(v1::VIEW, v1::VIEW, v1::PURCHASE, v1::ACCOUNT_CREATED));
  EXPECT_EQ(converted.report.skipped, 1);
  EXPECT_EQ(converted.report.rejected, 4);
  ASSERT_EQ(converted.events.size(), 4u);
  const v1::Event& view = converted.events[0];
  EXPECT_EQ(view.user_id(), "u1");
  EXPECT_FALSE(view.anonymous());
  EXPECT_EQ(view.item_id(), "/news/17");
  EXPECT_EQ(view.page(), "/news/17");
  EXPECT_EQ(view.session_id(), "s1");
  EXPECT_FALSE(view.has_value());
  EXPECT_EQ(view.event_time().seconds(),
            absl::ToUnixSeconds(absl::FromCivil(absl::CivilSecond(2026, 3, 1, 9, 30, 0), absl::UTCTimeZone())));
  const v1::Event& stranger = converted.events[1];
  EXPECT_EQ(stranger.user_id(), "session:s2");
  EXPECT_TRUE(stranger.anonymous());
  EXPECT_EQ(stranger.event_time().nanos(), 250'000'000);
  EXPECT_EQ(converted.events[2].value(), 12.5);
}

TEST(ShippedMappingsTest, SalesTransactions) {
  const Converted converted = Convert("sales_transactions.mapping.textproto",
                                      "store_id,product_category,transaction_id,timestamp,amount\n"
                                      "7,Garden,T1,2026-03-01 09:30:00,19.99\n"
                                      "7,Garden,T2,2026-03-01 09:31:00,-19.99\n"
                                      "8,Toys,T3,2026-03-01 09:32:00,0.00\n"
                                      "8,Toys,T4,2026-03-01 09:33:00,free\n"
                                      "8,,T5,2026-03-01 09:34:00,5\n"
                                      "8,Toys,,2026-03-01 09:35:00,5\n");
  EXPECT_THAT(Types(converted), ElementsAre(v1::PURCHASE, v1::RETURN, v1::ADJUSTMENT));
  EXPECT_EQ(converted.report.rejected, 3);
  ASSERT_EQ(converted.events.size(), 3u);
  const v1::Event& sale = converted.events[0];
  EXPECT_EQ(sale.user_id(), "transaction:T1");
  EXPECT_TRUE(sale.anonymous());
  EXPECT_EQ(sale.category(), "Garden");
  EXPECT_EQ(sale.item_id(), "");
  EXPECT_EQ(sale.value(), 19.99);
  EXPECT_EQ(sale.attributes().at("store"), "7");
  EXPECT_EQ(converted.events[1].value(), 19.99);
}

}  // namespace
}  // namespace tributary::batch
