#include "batch_layer/models/ials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <vector>

#include "batch_layer/models/top_n.h"
#include "common/ials/fold_in.h"
#include "tests/batch_layer/models/synthetic.h"

namespace tributary::batch {
namespace {

using testing::HasSubstr;

// What the loss says, with nothing clever: (a0 H'H + sum c h h' + r I) w = sum c h, by Gaussian elimination in double.
std::vector<double> PlainSolve(const Factors& fixed, const SparseRows::Row& row, const IalsOptions& options) {
  const auto d = static_cast<size_t>(fixed.dimensions());
  const double mass = static_cast<double>(row.size()) + double{options.loss.unobserved_weight} * fixed.rows();
  std::vector<std::vector<double>> system(d, std::vector<double>(d + 1));
  const auto add = [&](uint32_t item, double weight) {
    for (size_t a = 0; a < d; ++a) {
      for (size_t b = 0; b < d; ++b) {
        system[a][b] += weight * double{fixed.row(item)[a]} * double{fixed.row(item)[b]};
      }
    }
  };
  for (uint32_t item = 0; item < fixed.rows(); ++item) {
    add(item, options.loss.unobserved_weight);
  }
  for (size_t i = 0; i < row.size(); ++i) {
    add(row.columns[i], row.weights[i]);
    for (size_t a = 0; a < d; ++a) {
      system[a][d] += double{row.weights[i]} * double{fixed.row(row.columns[i])[a]};
    }
  }
  for (size_t a = 0; a < d; ++a) {
    system[a][a] += double{options.loss.regularization} * std::pow(mass, double{options.loss.regularization_exponent});
  }
  for (size_t pivot = 0; pivot < d; ++pivot) {   // Positive definite: needs no pivoting.
    for (size_t a = 0; a < d; ++a) {
      if (a != pivot) {
        const double factor = system[a][pivot] / system[pivot][pivot];
        for (size_t b = pivot; b <= d; ++b) {
          system[a][b] -= factor * system[pivot][b];
        }
      }
    }
  }
  std::vector<double> solution(d);
  for (size_t a = 0; a < d; ++a) {
    solution[a] = system[a][d] / system[a][a];
  }
  return solution;
}

IalsOptions Options(int dimensions, int threads = 1) {
  return {.dimensions = dimensions, .epochs = 3, .loss = {.unobserved_weight = 0.3f, .regularization = 0.02f}, .threads = threads};
}

TEST(IalsTest, EveryRowIsThePlainDenseSolution) {
  const InteractionMatrix matrix = synthetic::Random(60, 50, 40, 1);
  for (const float exponent : {0.0f, 0.5f, 1.0f}) {
    IalsOptions options = Options(16);   // Rows shorter and longer than 0.75 d.
    options.loss.regularization_exponent = exponent;
    auto model = TrainIals(matrix, options);
    ASSERT_TRUE(model.ok());
    // What was solved last is the solution against the other side as it is.
    for (uint32_t user = 0; user < matrix.rows(); ++user) {
      const std::vector<double> plain = PlainSolve(model->items, matrix.by_row().row(user), options);
      for (size_t a = 0; a < plain.size(); ++a) {
        EXPECT_NEAR(model->users.row(user)[a], plain[a], 1e-4) << "user " << user << " dimension " << a;
      }
    }
    ASSERT_TRUE(RunIalsEpoch(matrix, options, &*model).ok());
    for (uint32_t item = 0; item < matrix.items(); ++item) {
      const std::vector<double> plain = PlainSolve(model->users, matrix.by_item().row(item), options);
      for (size_t a = 0; a < plain.size(); ++a) {
        EXPECT_NEAR(model->items.row(item)[a], plain[a], 1e-4) << "item " << item << " dimension " << a;
      }
    }
  }
}

TEST(IalsTest, WoodburyAndCholeskyAgree) {
  constexpr int kDimensions = 24;
  const InteractionMatrix matrix = synthetic::Random(300, 200, 180, 2);   // More than one block of the Cholesky path.
  const IalsOptions options = Options(kDimensions);
  const auto model = TrainIals(matrix, options);
  ASSERT_TRUE(model.ok());
  const IalsRowSolver solver(model->items, model->item_eigenvalues, options.loss);
  IalsRowSolver::Workspace workspace;
  std::vector<float> woodbury(kDimensions);
  std::vector<float> cholesky(kDimensions);
  size_t longest = 0;
  for (uint32_t user = 0; user < matrix.rows(); ++user) {
    const SparseRows::Row row = matrix.by_row().row(user);
    longest = std::max(longest, row.size());
    solver.Solve({{row.columns, row.weights, absl::MakeSpan(woodbury)}}, &workspace, IalsRowSolver::Method::kWoodbury);
    solver.Solve({{row.columns, row.weights, absl::MakeSpan(cholesky)}}, &workspace, IalsRowSolver::Method::kCholesky);
    for (size_t a = 0; a < woodbury.size(); ++a) {
      ASSERT_NEAR(woodbury[a], cholesky[a], 1e-4) << "user " << user;
    }
  }
  EXPECT_GT(longest, 100u);
}

TEST(IalsTest, TheNumberOfThreadsChangesNoBit) {
  const InteractionMatrix matrix = synthetic::Random(700, 600, 30, 3);
  for (const int dimensions : {5, 40}) {
    const auto one = TrainIals(matrix, Options(dimensions, 1));
    ASSERT_TRUE(one.ok());
    for (const int threads : {2, 3}) {
      const auto more = TrainIals(matrix, Options(dimensions, threads));
      ASSERT_TRUE(more.ok());
      EXPECT_TRUE(more->users == one->users) << dimensions << " dimensions, " << threads << " threads";
      EXPECT_TRUE(more->items == one->items) << dimensions << " dimensions, " << threads << " threads";
    }
  }
}

TEST(IalsTest, TheSeedDecides) {
  const InteractionMatrix matrix = synthetic::Random(50, 40, 20, 4);
  IalsOptions options = Options(8);
  const auto first = TrainIals(matrix, options);
  const auto again = TrainIals(matrix, options);
  options.seed = 2;
  const auto other = TrainIals(matrix, options);
  EXPECT_TRUE(first->items == again->items);
  EXPECT_FALSE(first->items == other->items);
}

TEST(IalsTest, StartsWithTheStatedDeviation) {
  const InteractionMatrix matrix = synthetic::Random(2, 4'000, 1, 5);
  const auto model = StartIals(matrix, Options(25));
  ASSERT_TRUE(model.ok());
  double sum = 0;
  double squares = 0;
  for (uint32_t item = 0; item < 4'000; ++item) {
    for (const float value : model->items.row(item)) {
      sum += value;
      squares += double{value} * value;
    }
  }
  EXPECT_NEAR(sum / 100'000, 0, 3e-4);
  EXPECT_NEAR(std::sqrt(squares / 100'000), 0.1 / 5, 3e-4);
}

TEST(IalsTest, TheLossFallsEveryEpoch) {
  const InteractionMatrix matrix = synthetic::Random(200, 150, 30, 6);
  const IalsOptions options = Options(16);
  auto model = StartIals(matrix, options);
  ASSERT_TRUE(model.ok());
  double before = std::numeric_limits<double>::infinity();
  for (int epoch = 0; epoch < 8; ++epoch) {
    ASSERT_TRUE(RunIalsEpoch(matrix, options, &*model).ok());
    const double loss = IalsTotalLoss(matrix, options, *model);
    EXPECT_LT(loss, before) << "epoch " << epoch;
    before = loss;
  }
}

TEST(IalsTest, TheLossIsTheFormula) {
  const InteractionMatrix matrix = synthetic::Random(12, 9, 5, 7);
  const IalsOptions options = Options(3);
  const auto model = TrainIals(matrix, options);
  ASSERT_TRUE(model.ok());
  const auto dot = [](absl::Span<const float> a, absl::Span<const float> b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
  };
  const IalsModel& m = *model;
  double loss = 0;
  for (uint32_t u = 0; u < 12; ++u) {
    const SparseRows::Row row = matrix.by_row().row(u);
    for (size_t i = 0; i < row.size(); ++i) {
      loss += row.weights[i] * std::pow(1 - dot(m.users.row(u), m.items.row(row.columns[i])), 2);
    }
    for (uint32_t i = 0; i < 9; ++i) {
      loss += 0.3 * std::pow(dot(m.users.row(u), m.items.row(i)), 2);
    }
    loss += 0.02 * (static_cast<double>(row.size()) + 0.3 * 9) * dot(m.users.row(u), m.users.row(u));
  }
  for (uint32_t i = 0; i < 9; ++i) {
    loss += 0.02 * (static_cast<double>(matrix.by_item().row(i).size()) + 0.3 * 12) * dot(m.items.row(i), m.items.row(i));
  }
  EXPECT_NEAR(IalsTotalLoss(matrix, options, m), loss, 1e-4 * loss);
}

// Of all lengths: solved side by side in the half step, alone here.
TEST(IalsTest, FoldingInAUserGivesWhatTheHalfStepGives) {
  for (const int dimensions : {8, 40, 150}) {
    const InteractionMatrix matrix = synthetic::Random(150, 120, 110, 8);
    const IalsOptions options = Options(dimensions, 2);
    const auto model = TrainIals(matrix, options);
    ASSERT_TRUE(model.ok());
    const IalsRowSolver solver(model->items, model->item_eigenvalues, options.loss);
    IalsRowSolver::Workspace workspace;
    std::vector<float> folded(static_cast<size_t>(dimensions));
    for (uint32_t user = 0; user < matrix.rows(); ++user) {
      const SparseRows::Row row = matrix.by_row().row(user);
      solver.Solve({{row.columns, row.weights, absl::MakeSpan(folded)}}, &workspace);
      EXPECT_THAT(model->users.row(user), testing::ElementsAreArray(folded)) << row.size() << " items";
    }
    solver.Solve({{{}, {}, absl::MakeSpan(folded)}}, &workspace);
    EXPECT_THAT(folded, testing::Each(0.0f));
  }
}

// What serving will answer for a user who acted since is what the batch layer would have written.
TEST(IalsTest, AFoldedInListIsTheBatchLayers) {
  const InteractionMatrix matrix = synthetic::Random(90, 80, 60, 10);
  const IalsOptions options = Options(24);
  const auto model = TrainIals(matrix, options);
  ASSERT_TRUE(model.ok());
  const IalsFoldIn fold_in(model->items, model->item_eigenvalues, options.loss);
  IalsFoldIn::Scratch scratch;
  for (const bool exclude_own : {false, true}) {
    const auto lists = ScoreTopN(model->users, 0, matrix.rows(), model->items,
                                 {.n = 10, .excluded = exclude_own ? &matrix.by_row() : nullptr});
    for (uint32_t user = 0; user < matrix.rows(); ++user) {
      const SparseRows::Row row = matrix.by_row().row(user);
      const auto list = fold_in.List(row.columns, row.weights, 10, exclude_own, &scratch);
      if (row.size() == 0) {
        EXPECT_TRUE(list.empty());
        continue;
      }
      ASSERT_EQ(list.size(), lists[user].size());
      for (size_t i = 0; i < list.size(); ++i) {
        EXPECT_EQ(list[i].item, lists[user][i].item) << "user " << user << " place " << i;
        EXPECT_NEAR(list[i].score, lists[user][i].score, 1e-5);
      }
    }
  }
}

TEST(IalsTest, OptionsOutOfRangeAreNamed) {
  const InteractionMatrix matrix = synthetic::Random(4, 4, 2, 9);
  const struct {
    IalsOptions options;
    const char* name;
  } cases[] = {{{.dimensions = 0}, "dimensions=0"},
               {{.dimensions = 5'000}, "dimensions=5000"},
               {{.epochs = 0}, "epochs=0"},
               {{.loss = {.unobserved_weight = 0}}, "unobserved_weight=0"},
               {{.loss = {.regularization = -1}}, "regularization=-1"},
               {{.loss = {.regularization = std::numeric_limits<float>::quiet_NaN()}}, "regularization=nan"},
               {{.loss = {.regularization_exponent = -1}}, "regularization_exponent=-1"},
               {{.threads = 0}, "threads=0"}};
  for (const auto& c : cases) {
    const absl::Status status = TrainIals(matrix, c.options).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status));
    EXPECT_THAT(status.message(), HasSubstr(c.name));
  }
}

TEST(IalsTest, NoUsersOrNoItemsIsFine) {
  for (const auto& [rows, items] : {std::pair<uint32_t, uint32_t>{0, 3}, {3, 0}, {0, 0}, {3, 3}}) {
    const auto matrix = InteractionMatrix::Create(rows, items, {});
    ASSERT_TRUE(matrix.ok());
    const auto model = TrainIals(*matrix, Options(4));
    ASSERT_TRUE(model.ok()) << model.status();
    EXPECT_EQ(model->users.rows(), rows);
    EXPECT_EQ(model->items.rows(), items);
  }
}

}  // namespace
}  // namespace tributary::batch
