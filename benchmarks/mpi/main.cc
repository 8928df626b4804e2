// switchyard-mpi-bench: dispatch and combine over MPI on the workload, routing and data of
// `switchyard bench`, checked against the same reference. Prints one JSON object with the time of
// the slowest rank in each iteration.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "benchmarks/common/core_binding.h"
#include "benchmarks/common/reference.h"
#include "benchmarks/common/routing_source.h"
#include "benchmarks/common/token_data.h"
#include "benchmarks/common/verifier.h"
#include "benchmarks/common/workload.h"
#include "benchmarks/mpi/communicator.h"
#include "benchmarks/mpi/mpi_combine.h"
#include "benchmarks/mpi/mpi_dispatch.h"
#include "switchyard/error.h"

namespace switchyard::bench {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitBadArguments = 2;

struct Options {
  Workload workload;
  Plan plan = Plan::kPlain;
  int iterations = 20;
  bool bind = true;
  int warmup = 3;
};

// Fills in what the command line says. num_ranks stays 0 when it is not given.
void add_options(CLI::App& app, Options& options) {
  Workload& workload = options.workload;
  const auto named = [&app](const char* name, auto& value, auto parse, const char* help) {
    app.add_option_function<std::string>(
        name, [&value, parse](const std::string& text) { value = parse(text); }, help);
  };
  app.add_option("--ranks", workload.num_ranks, "ranks; must be what mpirun starts");
  app.add_option("--tokens", workload.tokens, "tokens of each rank");
  app.add_option("--hidden", workload.hidden, "elements of a row");
  app.add_option("--topk", workload.topk, "experts of each token");
  app.add_option("--experts", workload.num_experts, "experts of all ranks");
  app.add_option("--expert-alignment", workload.expert_alignment, "expert-major: rows");
  app.add_option("--zero-padding", workload.zero_padding, "expert-major: alignment rows are zero");
  app.add_option("--max-tokens", workload.max_tokens, "padded: places for each expert and source");
  app.add_option("--routing", workload.routing, routing_help());
  app.add_option("--seed", workload.seed, "of routing and data");
  app.add_option("--bind", options.bind, "each rank to its own share of the cores");
  app.add_option("--iterations", options.iterations, "timed ones")->check(CLI::PositiveNumber);
  app.add_option("--warmup", options.warmup, "iterations before those")
      ->check(CLI::NonNegativeNumber);
  named(
      "--plan",
      options.plan,
      parse_plan,
      "plain (every row packed, sent and returned) or dedup (once to each rank, what stays is not "
      "packed, sums return)");
  named("--dtype", workload.dtype, parse_dtype, "bf16, fp16, fp32 or fp8");
  named("--layout", workload.layout, parse_layout, "rank-major, expert-major or padded");
  named("--quantize", workload.quantize, parse_quantize, "none, fp8-fp32 or fp8-ue8m0");
  named("--scales", workload.carried_scales, parse_scales, "fp8 rows: none, fp32 or ue8m0");
}

// Whoever waits lets others run, since ranks may outnumber the cores. What mpirun or the user sets
// stays. Everything else is Open MPI's default, rows by single copy (CMA) included.
// measured: Open MPI 4.1.4, 4 ranks on a busy 2-core virtual machine (EPYC Zen 5), 1024 tokens of
//   deepseek-v3-train, rank-major, 2026-11-24, dispatch and combine in ms, tenth percentile of 50 interleaved runs:
//   these settings          41.0  33.0
//   without yielding       132.2  53.9
//   without single copy     53.3  49.4
//   linear MPI_Alltoallv    42.0  31.1
//   pairwise                47.9  37.9
void choose_mpi_settings() {
  ::setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0);
}

// One rank of the rival, its data and its times.
class Rival {
 public:
  Rival(const Communicator& communicator, const Options& options)
      : communicator_(communicator),
        options_(options),
        all_routing_(
            std::make_shared<const std::vector<RankRouting>>(make_all_routing(options.workload))),
        reference_(
            std::make_shared<const Reference>(options.workload, communicator.rank(), all_routing_)),
        verifier_(reference_),
        inputs_(options.workload,
                communicator.rank(),
                (*all_routing_)[static_cast<std::size_t>(communicator.rank())]),
        dispatch_(communicator, options.workload, inputs_, options.plan),
        combine_(communicator, options.workload, dispatch_, inputs_.routing().num_tokens) {
    if (options.workload.landed_dtype() != options.workload.combine_dtype()) {
      expert_rows_.reserve(reference_->rows().size() * options.workload.combine_row_bytes());
      fill_expert_rows(*reference_, expert_view());
    }
  }

  void run() {
    const int num_iterations = options_.warmup + options_.iterations;
    for (int i = 0; i < num_iterations; ++i) {
      run_once(/*check=*/i == 0 || i + 1 == num_iterations, /*keep_times=*/i >= options_.warmup);
    }
  }

  [[nodiscard]] const VerifyReport& report() const { return report_; }

  /// On rank 0.
  [[nodiscard]] nlohmann::json result(bool verified) const {
    return {{"plan", plan_name(options_.plan)},
            {"dispatch_us", communicator_.largest(dispatch_us_)},
            {"combine_us", communicator_.largest(combine_us_)},
            {"verified", verified},
            {"mpi", Communicator::library_version()}};
  }

 private:
  using Clock = std::chrono::steady_clock;

  void run_once(bool check, bool keep_times) {
    if (check && dispatch_.num_rows() > 0) {
      poison(dispatch_.x());
      poison(combine_.out());
    }
    const double dispatch_us = time_us([&] { dispatch_.run(); });
    if (check) {
      report_.merge(verifier_.check_dispatch(dispatch_.views()));
      if (expert_rows_.size() == 0) {
        fill_expert_rows(*reference_, expert_view());
      }
    }
    const double combine_us =
        time_us([&] { combine_.run(static_cast<const std::byte*>(expert_view().data)); });
    if (check) {
      report_.merge(verifier_.check_combine(combine_.out()));
    }
    if (keep_times) {
      dispatch_us_.push_back(dispatch_us);
      combine_us_.push_back(combine_us);
    }
  }

  double time_us(const std::function<void()>& body) const {
    communicator_.barrier();
    const Clock::time_point begin = Clock::now();
    body();
    return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
  }

  // The experts' outputs: in place of the landed rows when they fit there.
  [[nodiscard]] TensorView expert_view() const {
    if (expert_rows_.size() == 0) {
      return dispatch_.x();
    }
    return {expert_rows_.data(),
            options_.workload.combine_dtype(),
            {static_cast<std::int64_t>(reference_->rows().size()), options_.workload.hidden}};
  }

  const Communicator& communicator_;
  const Options& options_;
  std::shared_ptr<const std::vector<RankRouting>> all_routing_;
  std::shared_ptr<const Reference> reference_;
  Verifier verifier_;
  RankInputs inputs_;
  MpiDispatch dispatch_;
  MpiCombine combine_;
  AlignedBuffer expert_rows_;  // for fp8 rows
  VerifyReport report_;
  std::vector<double> dispatch_us_;
  std::vector<double> combine_us_;
};

void check_ranks(const Communicator& communicator, Workload& workload) {
  if (workload.num_ranks != 0 && workload.num_ranks != communicator.num_ranks()) {
    throw InvalidArgument(
        fmt::format("ranks: got {}, wanted the {} that mpirun started (mpirun -n)",
                    workload.num_ranks,
                    communicator.num_ranks()));
  }
  workload.num_ranks = communicator.num_ranks();
  workload.validate();
}

int measure(const Communicator& communicator, Options& options) {
  check_ranks(communicator, options.workload);
  if (options.bind) {
    bind_to_own_cores(communicator.rank(), options.workload.num_ranks);
  }
  Rival rival(communicator, options);
  rival.run();
  const bool verified = communicator.all_true(rival.report().ok());
  if (!rival.report().ok()) {
    fmt::print(stderr, "switchyard-mpi-bench: wrong data: {}\n", rival.report().first);
  }
  const nlohmann::json result = rival.result(verified);
  if (communicator.rank() == 0) {
    fmt::print("{}\n", result.dump());
    return verified ? 0 : kExitFailed;
  }
  return 0;
}

int run_program(int argc, char** argv) {
  CLI::App app("Dispatch and combine over MPI_Alltoallv; start it with mpirun");
  Options options;
  options.workload.num_ranks = 0;
  add_options(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitBadArguments;
  } catch (const Error& error) {
    fmt::print(stderr, "switchyard-mpi-bench: {}\n", error.what());
    return kExitBadArguments;
  }
  choose_mpi_settings();
  const Communicator communicator;
  try {
    return measure(communicator, options);
  } catch (const InvalidArgument& error) {
    // Found by all ranks alike, so they end together and in order: MPI_Abort could end rank 0
    // before it has spoken.
    if (communicator.rank() == 0) {
      fmt::print(stderr, "switchyard-mpi-bench: {}\n", error.what());
    }
    return kExitBadArguments;
  } catch (const std::exception& error) {
    fmt::print(stderr, "switchyard-mpi-bench: rank {}: {}\n", communicator.rank(), error.what());
    communicator.abort(kExitFailed);
  }
}

}  // namespace
}  // namespace switchyard::bench

int main(int argc, char** argv) {
  return switchyard::bench::run_program(argc, argv);
}
