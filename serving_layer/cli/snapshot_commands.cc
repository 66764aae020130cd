// snapshots list, diff, activate, rollback, verify: work on the snapshot directory, a running server follows CURRENT.
// snapshots canary: asks a server.
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/snapshot/gate_verdict.h"
#include "common/snapshot/measure.h"
#include "common/snapshot/snapshot.h"
#include "common/status/status_macros.h"
#include "serving_layer/cli/commands.h"
#include "serving_layer/cli/format.h"
#include "tributary/v1/admin_service.pb.h"

namespace tributary::serving {
namespace {

constexpr int64_t kCacheBytes = 8 << 20;

absl::StatusOr<SnapshotStore> OpenStore(Session& session) {
  TRIBUTARY_ASSIGN_OR_RETURN(const v1::Config config, session.LoadConfiguration());
  return SnapshotStore(config.storage().snapshots_dir());
}

// Nothing activated yet is no error here.
absl::StatusOr<std::optional<int64_t>> CurrentOf(const SnapshotStore& store) {
  const absl::StatusOr<Generation> current = store.Current();
  if (absl::IsNotFound(current.status())) {
    return std::optional<int64_t>();
  }
  TRIBUTARY_RETURN_IF_ERROR(current.status());
  return std::optional<int64_t>(Value(*current));
}

absl::Status List(Session& session) {
  TRIBUTARY_ASSIGN_OR_RETURN(const SnapshotStore store, OpenStore(session));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<v1::SnapshotManifest> manifests, store.List());
  TRIBUTARY_ASSIGN_OR_RETURN(const std::optional<int64_t> current, CurrentOf(store));
  v1::ListSnapshotsResponse response;   // As a server lists them; `serving` says which one CURRENT names.
  for (size_t i = manifests.size(); i-- > 0;) {
    auto* snapshot = response.add_snapshots();
    *snapshot->mutable_manifest() = manifests[i];
    snapshot->mutable_manifest()->clear_files();
    snapshot->set_serving(manifests[i].generation() == current);
    if (auto verdict = ReadGateVerdict(store.dir(), Generation{manifests[i].generation()}); verdict.ok()) {
      *snapshot->mutable_gate() = *std::move(verdict);
    }
  }
  session.Print(response, FormatSnapshots(response));
  return absl::OkStatus();
}

absl::Status Activate(int64_t generation, SnapshotStore& store, Session& session) {
  TRIBUTARY_RETURN_IF_ERROR(store.Activate(Generation{generation}));
  if (session.json) {
    session.environment.out << "{\"generation\":\"" << generation << "\"}\n";
  } else {
    session.environment.out << "snapshot " << generation << " is current\n";
  }
  return absl::OkStatus();
}

absl::Status Rollback(Session& session) {
  TRIBUTARY_ASSIGN_OR_RETURN(SnapshotStore store, OpenStore(session));
  TRIBUTARY_ASSIGN_OR_RETURN(const Generation current, store.Current());
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<v1::SnapshotManifest> manifests, store.List());
  const std::optional<Generation> before = RollbackTarget(store.dir(), manifests, current);
  if (!before) {
    return absl::FailedPreconditionError(
        absl::StrCat("no snapshot to roll back to: current=", Value(current), " dir=", store.dir()));
  }
  return Activate(Value(*before), store, session);
}

absl::Status Verify(int64_t generation, Session& session) {
  TRIBUTARY_ASSIGN_OR_RETURN(const SnapshotStore store, OpenStore(session));
  if (generation == 0) {
    TRIBUTARY_ASSIGN_OR_RETURN(const Generation current, store.Current());
    generation = Value(current);
  }
  TRIBUTARY_ASSIGN_OR_RETURN(
      const std::unique_ptr<SnapshotReader> reader,
      SnapshotReader::Open(store.dir(), Generation{generation}, SnapshotReader::Verify::kDigest, kCacheBytes));
  if (session.json) {
    session.environment.out << "{\"generation\":\"" << generation << "\",\"contentDigest\":\""
                            << reader->manifest().content_digest() << "\"}\n";
  } else {
    session.environment.out << "snapshot " << generation << " is whole: files, checksums and content digest "
                            << reader->manifest().content_digest() << "\n";
  }
  return absl::OkStatus();
}

v1::SnapshotDiff ToDiff(const SnapshotMeasures& before, const SnapshotMeasures& after, const Churn& churn) {
  v1::SnapshotDiff diff;
  diff.set_before_generation(before.generation);
  diff.set_after_generation(after.generation);
  const auto add = [&diff](const std::string& name, std::optional<double> was, std::optional<double> is) {
    v1::SnapshotDiff::Figure& figure = *diff.add_figures();
    figure.set_name(name);
    if (was && std::isfinite(*was)) figure.set_before(*was);
    if (is && std::isfinite(*is)) figure.set_after(*is);
  };
  for (const auto& [name, count] : {std::pair("events", &SnapshotMeasures::events),
                                    {"users", &SnapshotMeasures::users},
                                    {"items", &SnapshotMeasures::items},
                                    {"size_bytes", &SnapshotMeasures::size_bytes}}) {
    add(name, static_cast<double>(before.*count), static_cast<double>(after.*count));
  }
  add("user_coverage", before.user_coverage(), after.user_coverage());
  add("item_coverage", before.item_coverage(), after.item_coverage());
  add("empty_list_rate", before.empty_list_rate(), after.empty_list_rate());
  // By name, of whichever of the two has it.
  std::map<std::string, double> metrics = before.metrics;
  metrics.insert(after.metrics.begin(), after.metrics.end());
  const auto of = [](const SnapshotMeasures& measures, const std::string& name) {
    const auto found = measures.metrics.find(name);
    return found == measures.metrics.end() ? std::nullopt : std::optional<double>(found->second);
  };
  for (const auto& [name, value] : metrics) {
    add(name, of(before, name), of(after, name));
  }
  std::map<PartitionId, Offset> partitions = before.watermarks;
  partitions.insert(after.watermarks.begin(), after.watermarks.end());
  const auto w = [](const SnapshotMeasures& measures, PartitionId partition) {
    const auto found = measures.watermarks.find(partition);
    return found == measures.watermarks.end() ? 0 : Value(found->second);
  };
  for (const auto& [partition, watermark] : partitions) {
    v1::SnapshotDiff::Watermark& entry = *diff.add_watermarks();
    entry.set_partition(Value(partition));
    entry.set_before(w(before, partition));
    entry.set_after(w(after, partition));
  }
  if (std::isfinite(churn.lists)) diff.set_list_churn(churn.lists);
  if (std::isfinite(churn.popular)) diff.set_popular_churn(churn.popular);
  return diff;
}

absl::Status Diff(int64_t before_generation, int64_t after_generation, Session& session) {
  TRIBUTARY_ASSIGN_OR_RETURN(const SnapshotStore store, OpenStore(session));
  const auto open = [&store](int64_t generation) {
    return SnapshotReader::Open(store.dir(), Generation{generation}, SnapshotReader::Verify::kManifest, kCacheBytes);
  };
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<SnapshotReader> before, open(before_generation));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<SnapshotReader> after, open(after_generation));
  TRIBUTARY_ASSIGN_OR_RETURN(const SnapshotMeasures was, MeasureSnapshot(*before));
  TRIBUTARY_ASSIGN_OR_RETURN(const SnapshotMeasures is, MeasureSnapshot(*after));
  TRIBUTARY_ASSIGN_OR_RETURN(const Churn churn, MeasureChurn(*after, *before));
  v1::SnapshotDiff diff = ToDiff(was, is, churn);
  diff.set_same_content(before->manifest().content_digest() == after->manifest().content_digest());
  diff.set_same_config(before->manifest().config_digest() == after->manifest().config_digest());
  session.Print(diff, FormatSnapshotDiff(diff));
  return absl::OkStatus();
}

void AddCanary(CLI::App& snapshots, Session& session) {
  CLI::App* canary =
      snapshots.add_subcommand("canary", "serve a share of the users from a candidate")->require_subcommand(1);
  auto request = std::make_shared<v1::StartCanaryRequest>();
  CLI::App* start = canary->add_subcommand("start", "begin one, or change its share; it ends when CURRENT changes");
  start->add_option_function<int64_t>("generation", [request](int64_t v) { request->set_generation(v); }, "as `list` shows it")
      ->required()
      ->check(CLI::PositiveNumber);
  start
      ->add_option_function<double>("--percent", [request](double v) { request->set_percent(v); },
                                    "of the users; 0: held for `recommend --generation` alone")
      ->required()
      ->check(CLI::Range(0.0, 100.0));
  start->callback([request, &session] {
    session.status = [&]() -> absl::Status {
      TRIBUTARY_ASSIGN_OR_RETURN(const auto client, session.Connect());
      TRIBUTARY_ASSIGN_OR_RETURN(const v1::StartCanaryResponse response, client->StartCanary(*request));
      session.Print(response, absl::StrCat("canary started: snapshot ", response.canary().generation(), " for ",
                                           response.canary().percent(), " % of the users; `canary status` shows when the "
                                           "server has loaded it\n"));
      return absl::OkStatus();
    }();
  });
  canary->add_subcommand("status", "which one runs, and whether this server answers from it")->callback([&session] {
    session.status = [&]() -> absl::Status {
      TRIBUTARY_ASSIGN_OR_RETURN(const auto client, session.Connect());
      TRIBUTARY_ASSIGN_OR_RETURN(const v1::GetCanaryResponse response, client->GetCanary({}));
      session.Print(response, FormatCanary(response));
      return absl::OkStatus();
    }();
  });
  canary->add_subcommand("stop", "serve everybody from the current one again")->callback([&session] {
    session.status = [&]() -> absl::Status {
      TRIBUTARY_ASSIGN_OR_RETURN(const auto client, session.Connect());
      TRIBUTARY_ASSIGN_OR_RETURN(const v1::StopCanaryResponse response, client->StopCanary({}));
      session.Print(response, response.has_stopped()
                                  ? absl::StrCat("canary of snapshot ", response.stopped().generation(), " stopped\n")
                                  : "no canary ran\n");
      return absl::OkStatus();
    }();
  });
}

}  // namespace

void AddSnapshotCommands(CLI::App& app, Session& session) {
  CLI::App* snapshots =
      app.add_subcommand("snapshots", "snapshots in the configured directory")->require_subcommand(1);
  snapshots->add_subcommand("list", "complete snapshots, newest first; * is the current one")->callback([&session] {
    session.status = List(session);
  });
  auto compared = std::make_shared<std::pair<int64_t, int64_t>>();
  CLI::App* diff =
      snapshots->add_subcommand("diff", "what changed from one snapshot to another, by the gate's measures");
  diff->add_option("before", compared->first, "as `list` shows it")->required()->check(CLI::PositiveNumber);
  diff->add_option("after", compared->second, "the newer one")->required()->check(CLI::PositiveNumber);
  diff->callback([compared, &session] { session.status = Diff(compared->first, compared->second, session); });
  auto activated = std::make_shared<int64_t>(0);
  CLI::App* activate = snapshots->add_subcommand("activate", "make a snapshot the current one");
  activate->add_option("generation", *activated, "as `list` shows it")->required()->check(CLI::PositiveNumber);
  activate->callback([activated, &session] {
    session.status = [&]() -> absl::Status {
      TRIBUTARY_ASSIGN_OR_RETURN(SnapshotStore store, OpenStore(session));
      return Activate(*activated, store, session);
    }();
  });
  snapshots->add_subcommand("rollback", "make the one before the current one current, passing by what the gate refused")
      ->callback([&session] { session.status = Rollback(session); });
  AddCanary(*snapshots, session);
  auto verified = std::make_shared<int64_t>(0);
  CLI::App* verify = snapshots->add_subcommand("verify", "read every byte and compare it with the manifest");
  verify->add_option("generation", *verified, "default: the current one")->check(CLI::PositiveNumber);
  verify->callback([verified, &session] { session.status = Verify(*verified, session); });
}

}  // namespace tributary::serving
