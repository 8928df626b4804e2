// The arguments of `switchyard`, one a line.
#include <string>
#include <vector>

#include "benchmarks/cli/bench_options.h"
#include "tests/fuzz/fuzz_input.h"

using switchyard::fuzz::expect;

namespace {

void check_bench(const switchyard::bench::BenchOptions& options) {
  expect(!options.layouts.empty() && !options.tokens.empty(), "nothing to measure");
  expect(options.workload.num_ranks >= 1, "no rank");
  expect(options.workload.num_experts % options.workload.num_ranks == 0, "experts without a rank");
  expect(options.workload.topk >= 1 && options.workload.topk <= 32, "top-k out of range");
  expect(options.timeout.count() >= 1, "no time to wait");
}

void check_sim(const switchyard::bench::SimRuns& runs) {
  const switchyard::sim::PlanLimits& limits = runs.options.limits;
  expect(runs.num_runs >= 1, "nothing to run");
  expect(limits.min_ranks >= 1 && limits.min_ranks <= limits.max_ranks, "no rank to draw");
  expect(limits.min_in_flight >= 1 && limits.min_in_flight <= limits.max_in_flight,
         "no operation to draw");
  expect(limits.max_tokens >= 0 && limits.max_channels >= 1 && limits.max_operations >= 1,
         "nothing to exchange");
  expect(!runs.options.lose || runs.options.lose->victim >= 0, "nobody to lose");
  expect(!runs.track || (runs.track->num_slots >= 1 && runs.explored == nullptr),
         "a track without slots, or two worlds at once");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  switchyard::fuzz::FuzzInput input(data, size);
  switchyard::bench::Surroundings surroundings;
  if (input.flip()) {
    surroundings.launched = {.launcher = "a launcher",
                             .size_variable = "SIZE",
                             .num_ranks = 1 + static_cast<int>(input.below(64))};
  }
  std::vector<std::string> args(1);
  for (const char c : input.text(4096)) {
    if (c == '\n') {
      args.emplace_back();
    } else if (c != '\0') {  // the system passes none
      args.back() += c;
    }
  }
  const auto parsed = switchyard::bench::parse_command_line(args, surroundings);
  if (parsed.sim) {
    check_sim(*parsed.sim);
    return 0;
  }
  if (!parsed.options) {
    expect(!parsed.message.empty(), "left without a word");
    expect(parsed.exit_code == switchyard::bench::kExitOk ||
               parsed.exit_code == switchyard::bench::kExitBadArguments,
           "an exit code of another kind");
    return 0;
  }
  check_bench(*parsed.options);
  return 0;
}
