#include "benchmarks/cli/bench_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <sstream>

#include "benchmarks/cli/bench_help.h"
#include "benchmarks/cli/build_info.h"
#include "benchmarks/cli/device_options.h"
#include "benchmarks/common/check_range.h"
#include "benchmarks/common/routing_source.h"
#include "switchyard/error.h"
#include "switchyard/version.h"

namespace switchyard::bench {
namespace {

constexpr const char* kDefaultPreset = "deepseek-v3-train";
/// Without a preset: enough for a steady figure in well under a minute on two cores.
constexpr int kDefaultTokens = 1024;
constexpr int kSweepTokens = 4096;
/// Some hundred iterations of four ranks, and a file of a few MB.
constexpr int kDefaultTraceEvents = 8192;
constexpr int kMostTraceEvents = 1 << 22;

// As typed; empty means not given.
struct RawOptions {
  std::string preset;
  std::optional<int> ranks;
  std::optional<int> tokens;
  std::optional<int> hidden;
  std::optional<int> topk;
  std::optional<int> experts;
  std::string dtype;
  std::string scales;
  std::string quantize;
  std::vector<std::string> layouts;
  std::string routing;
  std::optional<std::uint64_t> seed;
  std::optional<int> expert_alignment;
  std::optional<int> max_tokens;
  bool zero_padding = false;
  std::string ranks_as;
  RawDeviceOptions device;
  std::string expert_copies = "sender";
  double timeout_s = 30.0;
  bool sweep = false;
  std::string versus;
  std::optional<int> trace_events;
  BenchOptions bench;
};

std::string preset_list() {
  return fmt::format("{}", fmt::join(preset_names(), ", "));
}

void add_workload_options(CLI::App& bench, RawOptions& raw) {
  const auto option = [&](const char* name, auto& value, const std::string& help) {
    return bench.add_option(name, value, help)->group("Workload");
  };
  option("--preset", raw.preset, "Shape of a known model:\n" + preset_list() + ".")
      ->type_name("NAME");
  option("--tokens", raw.tokens, "Tokens of each rank (the preset's; 1024 without a preset).")
      ->type_name("N");
  option("--hidden", raw.hidden, "Elements of a token's row.")->type_name("N");
  option("--topk", raw.topk, "Experts of each token, 1 to 32.")->type_name("K");
  option("--experts", raw.experts, "Experts of all ranks; a multiple of the ranks.")
      ->type_name("N");
  option("--dtype", raw.dtype, "Elements of the dispatched rows: bf16, fp16, fp32, fp8.")
      ->type_name("TYPE");
  option("--scales", raw.scales, "Scales carried beside fp8 rows: none, fp32, ue8m0.")
      ->type_name("TYPE");
  option("--quantize", raw.quantize, "bf16 rows leave as fp8: none, fp8-fp32, fp8-ue8m0.")
      ->type_name("TYPE");
  option("--layout",
         raw.layouts,
         "One or several, by commas: rank-major (a row per token and rank),\n"
         "expert-major (a row per token and expert), padded (fixed places, for decode).")
      ->delimiter(',')
      ->option_text("LAYOUT,...");
  option("--routing", raw.routing, "Who goes where; see below.")->type_name("SPEC");
  option("--seed", raw.seed, "Of routing and data (1).")->type_name("N");
  option("--expert-alignment",
         raw.expert_alignment,
         "Expert-major: rows of an expert start at a multiple of this (1).")
      ->type_name("ROWS");
  bench
      .add_flag("--zero-padding", raw.zero_padding, "Expert-major: alignment rows are set to zero.")
      ->group("Workload");
  option("--max-tokens", raw.max_tokens, "Padded: places for each expert and source (the tokens).")
      ->type_name("N");
}

void add_rank_options(CLI::App& bench, RawOptions& raw) {
  const auto option = [&](const char* name, auto& value, const char* help) {
    return bench.add_option(name, value, help)->group("Ranks");
  };
  option("--ranks", raw.ranks, "Members of the group (4).")->type_name("N");
  option("--ranks-as",
         raw.ranks_as,
         "processes or threads. Under a launcher: the one rank it asks for.")
      ->type_name("KIND");
  option("--bind",
         raw.bench.bind_cores,
         "Ranks as processes: each to its own share of the cores (true) or left to the scheduler.")
      ->type_name("BOOL");
  option("--workers", raw.bench.num_workers, "Threads of each rank (0: cores divided by ranks).")
      ->type_name("N");
  option("--channels", raw.bench.num_channels, "Shares of each operation (0: as many as workers).")
      ->type_name("N");
  option("--heap-bytes",
         raw.bench.heap_bytes,
         "Symmetric heap of each rank, 256MiB say (what the workload needs).")
      ->transform(CLI::AsSizeValue(false))
      ->option_text("SIZE");
  option("--expert-copies",
         raw.expert_copies,
         "Expert-major, who writes a token's further copies: sender, receiver.")
      ->type_name("WHO");
  option("--timeout", raw.timeout_s, "Longest wait for a peer without progress (30).")
      ->type_name("SECONDS");
}

void add_measuring_options(CLI::App& bench, RawOptions& raw) {
  bench
      .add_option("--iterations",
                  raw.bench.iterations,
                  "Timed iterations (0: as many as fit in some seconds).")
      ->type_name("N")
      ->group("Measuring");
  bench.add_option("--warmup", raw.bench.warmup, "Iterations before those (3).")
      ->type_name("N")
      ->group("Measuring");
  bench
      .add_flag("--sweep",
                raw.sweep,
                "Message sizes: 1, 2, 4 ... tokens, up to --tokens (the preset's; 4096).")
      ->group("Measuring");
  bench
      .add_option("--versus",
                  raw.versus,
                  "Also measure rivals on the same routing, in turns with ours: mpi (two of pack,\n"
                  "MPI_Alltoallv, unpack; see below).")
      ->type_name("RIVAL")
      ->group("Measuring");
}

void add_output_options(CLI::App& bench, RawOptions& raw) {
  const auto option = [&](const char* name, auto& value, const char* help) {
    return bench.add_option(name, value, help)->type_name("FILE")->group("Output");
  };
  option("--json", raw.bench.json_path, "Write the results for programs.");
  option("--csv", raw.bench.csv_path, "Write the results for spreadsheets.");
  option("--plot",
         raw.bench.plot_path,
         "Draw bandwidth over message size as SVG; implies --sweep; needs gnuplot.");
  option("--trace",
         raw.bench.trace_path,
         "Record what every role did and waited for, for ui.perfetto.dev,\n"
         "and say where the slowest operations spent their time.");
  bench
      .add_option("--trace-events",
                  raw.trace_events,
                  "Events kept for each worker (0; with --trace 8192: the last iterations).")
      ->type_name("N")
      ->group("Output");
}

constexpr const char* kProcessesName = "processes";
constexpr const char* kThreadsName = "threads";

RanksAs parse_ranks_as(const std::string& name) {
  if (name == kProcessesName) {
    return RanksAs::kProcesses;
  }
  if (name == kThreadsName) {
    return RanksAs::kThreads;
  }
  throw InvalidArgument(fmt::format("ranks-as: got \"{}\", wanted processes or threads", name));
}

ExpertCopies parse_expert_copies(const std::string& name) {
  if (name == "sender") {
    return ExpertCopies::kBySender;
  }
  if (name == "receiver") {
    return ExpertCopies::kByReceiver;
  }
  throw InvalidArgument(fmt::format("expert-copies: got \"{}\", wanted sender or receiver", name));
}

void check_versus(const std::string& name) {
  if (!name.empty() && name != "mpi") {
    throw InvalidArgument(fmt::format("versus: got \"{}\", wanted mpi", name));
  }
}

// So that a long run does not end without its file. Creates nothing.
void check_writable(const char* option, const std::string& path) {
  if (path.empty()) {
    return;
  }
  struct stat status {};
  const bool exists = ::stat(path.c_str(), &status) == 0;
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  int error = 0;
  if (exists && S_ISDIR(status.st_mode)) {
    error = EISDIR;
  } else if (::access(exists ? path.c_str() : folder.c_str(), W_OK) != 0) {
    error = errno;
  }
  if (error != 0) {
    throw InvalidArgument(
        fmt::format("{}: cannot write \"{}\": {}; name a file in a folder that exists "
                    "and that this user may write",
                    option,
                    path,
                    std::strerror(error)));
  }
}

template <class Value, class Given>
void set_if_given(Value& value, const std::optional<Given>& given) {
  if (given) {
    value = *given;
  }
}

Workload make_workload(const RawOptions& raw, const Surroundings& surroundings) {
  Workload workload = find_preset(raw.preset.empty() ? kDefaultPreset : raw.preset);
  if (raw.preset.empty()) {
    workload.tokens = raw.sweep ? kSweepTokens : kDefaultTokens;
    if (raw.hidden || raw.topk || raw.experts) {
      workload.preset = "custom";
    }
  }
  set_if_given(workload.num_ranks, raw.ranks);
  set_if_given(workload.tokens, raw.tokens);
  set_if_given(workload.hidden, raw.hidden);
  set_if_given(workload.topk, raw.topk);
  set_if_given(workload.num_experts, raw.experts);
  set_if_given(workload.seed, raw.seed);
  set_if_given(workload.expert_alignment, raw.expert_alignment);
  set_if_given(workload.max_tokens, raw.max_tokens);
  workload.zero_padding = raw.zero_padding;
  if (!raw.dtype.empty()) {
    workload.dtype = parse_dtype(raw.dtype);
  }
  if (!raw.scales.empty()) {
    workload.carried_scales = parse_scales(raw.scales);
  }
  if (!raw.quantize.empty()) {
    workload.quantize = parse_quantize(raw.quantize);
  }
  if (!raw.routing.empty()) {
    workload.routing = raw.routing;
  }
  if (const auto& launched = surroundings.launched) {
    if (raw.ranks && *raw.ranks != launched->num_ranks) {
      throw InvalidArgument(fmt::format("ranks: got {}, wanted {}'s {} {}; leave --ranks out",
                                        *raw.ranks,
                                        launched->launcher,
                                        launched->size_variable,
                                        launched->num_ranks));
    }
    workload.num_ranks = launched->num_ranks;
  }
  return workload;
}

std::vector<int> token_points(const RawOptions& raw, const Workload& workload) {
  if (!raw.sweep) {
    return {workload.tokens};
  }
  check_range("tokens of a sweep", workload.tokens, 2, std::int64_t{1} << 24);
  std::vector<int> points;
  for (int tokens = 1; tokens < workload.tokens; tokens *= 2) {
    points.push_back(tokens);
  }
  points.push_back(workload.tokens);
  return points;
}

std::vector<Layout> parse_layouts(const std::vector<std::string>& names, Layout preset_layout) {
  if (names.empty()) {
    return {preset_layout};
  }
  std::vector<Layout> layouts;
  for (const std::string& name : names) {
    const Layout layout = parse_layout(name);
    if (std::find(layouts.begin(), layouts.end(), layout) != layouts.end()) {
      throw InvalidArgument(fmt::format("layout: got {} twice, wanted each once", name));
    }
    layouts.push_back(layout);
  }
  return layouts;
}

void check_numbers(const BenchOptions& options, double timeout_s) {
  check_range("iterations", options.iterations, 0, 1'000'000);
  check_range("warmup", options.warmup, 1, 1'000'000);
  check_range("workers", options.num_workers, 0, 64);
  check_range("trace-events", options.trace_events, 0, kMostTraceEvents);
  check_range("channels", options.num_channels, 0, kMaxChannels);
  if (!(timeout_s >= 0.001 && timeout_s <= 86'400.0)) {
    throw InvalidArgument(fmt::format("timeout: got {} s, wanted 0.001 to 86400", timeout_s));
  }
}

BenchOptions check(RawOptions raw, const Surroundings& surroundings) {
  check_versus(raw.versus);
  raw.sweep = raw.sweep || !raw.bench.plot_path.empty();
  BenchOptions options = raw.bench;
  options.device = check_device_options(raw.device);
  options.workload = make_workload(raw, surroundings);
  options.layouts = parse_layouts(raw.layouts, options.workload.layout);
  options.tokens = token_points(raw, options.workload);
  options.ranks_given = raw.ranks.has_value();
  options.ranks_as_given = !raw.ranks_as.empty();
  options.ranks_as = parse_ranks_as(raw.ranks_as.empty() ? kProcessesName : raw.ranks_as);
  if (surroundings.launched) {
    options.ranks_as = RanksAs::kLaunched;
    options.launcher = surroundings.launched->launcher;
  }
  options.expert_copies = parse_expert_copies(raw.expert_copies);
  options.versus_mpi = raw.versus == "mpi";
  options.trace_events =
      raw.trace_events.value_or(raw.bench.trace_path.empty() ? 0 : kDefaultTraceEvents);
  check_numbers(options, raw.timeout_s);
  options.timeout = std::chrono::milliseconds(static_cast<std::int64_t>(raw.timeout_s * 1e3));
  for (const Layout layout : options.layouts) {
    options.workload.layout = layout;
    options.workload.validate();
  }
  options.workload.layout = options.layouts.front();
  check_writable("json", options.json_path);
  check_writable("csv", options.csv_path);
  check_writable("plot", options.plot_path);
  check_writable("trace", options.trace_path);
  if (options.versus_mpi && options.launcher == "mpirun") {
    throw InvalidArgument(
        "versus: got mpi in a job of mpirun, wanted a run that starts its ranks itself, since no "
        "mpirun can be started by another; leave mpirun or --versus out");
  }
  if (options.versus_mpi && options.trace_events > 0) {
    throw InvalidArgument(
        "trace: got one beside --versus, wanted one of the two; compare first, then trace a run");
  }
  return options;
}

/// CLI11 says what it got, and not what it wanted: the option's own help does.
std::string describe_bad_value(const CLI::App& command, const std::string& problem) {
  for (const CLI::Option* option : command.get_options()) {
    const std::string name = option->get_name();
    const std::size_t at = problem.find(name);
    const std::size_t end = at + name.size();
    if (name.empty() || at == std::string::npos ||
        (end < problem.size() && (problem[end] == '-' || std::isalpha(problem[end]) != 0))) {
      continue;
    }
    const std::string type = option->get_type_name();
    const bool is_size = option->get_option_text() == "SIZE";
    const std::string wanted = type == "BOOL"      ? "true or false"
                               : type == "SECONDS" ? "a number of seconds"
                               : is_size           ? "a size such as 4096 or 256MiB"
                                                   : "a whole number that fits";
    // The transformation of sizes takes the value apart: it is only in the problem's text.
    const std::string got =
        is_size ? problem : fmt::format("\"{}\"", fmt::join(option->results(), " "));
    return fmt::format("switchyard {}: {}: got {}, wanted {}. {}\n",
                       command.get_name(),
                       name.substr(2),
                       got,
                       wanted,
                       option->get_description());
  }
  return fmt::format("switchyard {}: {}\n", command.get_name(), problem);
}

ParsedCommandLine leave(int exit_code, const std::string& message) {
  return {.options = std::nullopt, .exit_code = exit_code, .message = message};
}

}  // namespace

std::string_view ranks_as_name(const BenchOptions& options) {
  switch (options.ranks_as) {
    case RanksAs::kProcesses:
      return kProcessesName;
    case RanksAs::kThreads:
      return kThreadsName;
    case RanksAs::kLaunched:
      return options.launcher;
  }
  return "unknown";
}

ParsedCommandLine parse_command_line(const std::vector<std::string>& args,
                                     const Surroundings& surroundings) {
  RawOptions raw;
  CLI::App app("Expert-parallel dispatch and combine: the tools of Switchyard.", "switchyard");
  app.set_version_flag("--version", fmt::format("switchyard {} ({})", version(), commit()));
  app.require_subcommand(1);
  CLI::App& bench = *app.add_subcommand(
      "bench", "Measure dispatch and combine on this machine, every byte checked.");
  bench.get_formatter()->column_width(34);
  add_workload_options(bench, raw);
  add_rank_options(bench, raw);
  add_device_options(bench, raw.device);
  add_measuring_options(bench, raw);
  add_output_options(bench, raw);
  bench.footer(bench_help_footer());
  SimArguments sim_arguments;
  const CLI::App& sim = add_sim_command(app, sim_arguments);

  std::vector<std::string> reversed(args.rbegin(), args.rend());
  if (args.empty()) {
    return leave(kExitBadArguments, app.help());
  }
  const auto command = [&]() -> const CLI::App& { return sim.parsed() ? sim : bench; };
  try {
    app.parse(reversed);
    if (sim.parsed()) {
      return {.sim = check_sim_arguments(sim_arguments)};
    }
    return {.options = check(raw, surroundings)};
  } catch (const CLI::ConversionError& error) {
    return leave(kExitBadArguments, describe_bad_value(command(), error.what()));
  } catch (const CLI::ValidationError& error) {
    return leave(kExitBadArguments, describe_bad_value(command(), error.what()));
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream problem;
    const bool fine = app.exit(error, out, problem) == 0;
    return fine ? leave(kExitOk, out.str()) : leave(kExitBadArguments, problem.str());
  } catch (const InvalidArgument& error) {
    return leave(kExitBadArguments,
                 fmt::format("switchyard {}: {}\n", command().get_name(), error.what()));
  }
}

}  // namespace switchyard::bench
