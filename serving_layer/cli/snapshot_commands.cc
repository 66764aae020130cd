// snapshots list, activate, rollback, verify: work on the snapshot directory, a running server follows CURRENT.
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/snapshot/gate_verdict.h"
#include "common/snapshot/snapshot.h"
#include "common/status/status_macros.h"
#include "serving_layer/cli/commands.h"
#include "serving_layer/cli/format.h"
#include "tributary/v1/admin_service.pb.h"

namespace tributary::serving {
namespace {

constexpr int64_t kVerifyCacheBytes = 8 << 20;

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
  if (!session.json) {
    session.environment.out << FormatSnapshots(manifests, current);
    return absl::OkStatus();
  }
  v1::ListSnapshotsResponse response;   // As a server lists them; `serving` says which one CURRENT names.
  for (size_t i = manifests.size(); i-- > 0;) {
    auto* snapshot = response.add_snapshots();
    *snapshot->mutable_manifest() = manifests[i];
    snapshot->mutable_manifest()->clear_files();
    snapshot->set_serving(manifests[i].generation() == current);
  }
  session.environment.out << FormatJson(response);
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
      SnapshotReader::Open(store.dir(), Generation{generation}, SnapshotReader::Verify::kDigest, kVerifyCacheBytes));
  if (session.json) {
    session.environment.out << "{\"generation\":\"" << generation << "\",\"contentDigest\":\""
                            << reader->manifest().content_digest() << "\"}\n";
  } else {
    session.environment.out << "snapshot " << generation << " is whole: files, checksums and content digest "
                            << reader->manifest().content_digest() << "\n";
  }
  return absl::OkStatus();
}

}  // namespace

void AddSnapshotCommands(CLI::App& app, Session& session) {
  CLI::App* snapshots =
      app.add_subcommand("snapshots", "snapshots in the configured directory")->require_subcommand(1);
  snapshots->add_subcommand("list", "complete snapshots, newest first; * is the current one")->callback([&session] {
    session.status = List(session);
  });
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
  auto verified = std::make_shared<int64_t>(0);
  CLI::App* verify = snapshots->add_subcommand("verify", "read every byte and compare it with the manifest");
  verify->add_option("generation", *verified, "default: the current one")->check(CLI::PositiveNumber);
  verify->callback([verified, &session] { session.status = Verify(*verified, session); });
}

}  // namespace tributary::serving
