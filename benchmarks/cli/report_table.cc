#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "benchmarks/cli/report.h"
#include "benchmarks/cli/versus_mpi.h"

namespace switchyard::bench {
namespace {

constexpr double kMiB = 1024.0 * 1024.0;
/// Of a rival's column.
constexpr int kRivalWidth = 9;

bool has_rivals(const Report& report) {
  return std::any_of(report.results.begin(), report.results.end(), [](const OpResult& result) {
    return !result.rivals.empty();
  });
}

std::string who(const BenchOptions& options) {
  const Workload& workload = options.workload;
  const char* plural = workload.num_ranks == 1 ? "" : "s";
  if (options.ranks_as == RanksAs::kLaunched) {
    return fmt::format("{} rank{} under {}", workload.num_ranks, plural, options.launcher);
  }
  return fmt::format("{} rank{} as {}", workload.num_ranks, plural, ranks_as_name(options));
}

std::string how_many_tokens(const BenchOptions& options) {
  return options.is_sweep()
             ? fmt::format("{} to {} tokens each", options.tokens.front(), options.tokens.back())
             : fmt::format("{} token{} each",
                           options.tokens.front(),
                           options.tokens.front() == 1 ? "" : "s");
}

std::string row_format(const Workload& workload) {
  std::string text = fmt::format("hidden {} {}", workload.hidden, row_dtype_name(workload.dtype));
  if (workload.carried_scales != protocol::ScaleFormat::kNone) {
    text += fmt::format(" with {} scales", scales_name(workload.carried_scales));
  }
  if (workload.quantize != Quantize::kNone) {
    text += fmt::format(" sent as {}", quantize_name(workload.quantize));
  }
  return text;
}

// Distinct destinations of a token: what decides how many bytes a dispatch moves.
std::string spread(const std::vector<double>& ranks_per_token) {
  const auto [least, most] = std::minmax_element(ranks_per_token.begin(), ranks_per_token.end());
  if (*most - *least < 0.005) {
    return fmt::format("{:.2f}", *least);
  }
  return fmt::format("{:.2f} to {:.2f}", *least, *most);
}

std::string data_line(const Report& report) {
  std::int64_t rows = 0;
  for (const OpResult& result : report.results) {
    if (!result.verified) {
      return fmt::format("WRONG in {}: {}", result.op, result.first_mismatch);
    }
    rows += result.rows_checked;
  }
  return fmt::format(
      "correct; every row and every sum of the first and the last iteration compared ({} rows)",
      rows);
}

std::string heading(const Report& report) {
  const BenchOptions& options = report.options;
  const Workload& workload = options.workload;
  std::string text = fmt::format("Switchyard {} ({}), {} target\n",
                                 report.version,
                                 report.commit,
                                 target_name(options.device.target));
  const auto line = [&](const char* what, const std::string& value) {
    text += fmt::format("{:<9} {}\n", what, value);
  };
  line("machine", to_string(report.machine));
  line("workload",
       fmt::format("{}: {}, {}, {}, top-{} of {} experts",
                   workload.preset,
                   who(options),
                   how_many_tokens(options),
                   row_format(workload),
                   workload.topk,
                   workload.num_experts));
  line("routing",
       fmt::format(
           "{}: a token goes to {} ranks", workload.routing, spread(report.ranks_per_token)));
  for (const std::string& notice : report.notices) {
    line("note", notice);
  }
  line("data", data_line(report));
  return text;
}

std::string column_titles(bool sweep, bool rivals) {
  const std::string indent(sweep ? 31 : 23, ' ');
  std::string text = fmt::format("{}{:^39}   {:^35}  {:>6} {:>8}{}\n",
                                 indent,
                                 "slowest rank, us",
                                 "GB/s per rank",
                                 "of",
                                 "peak",
                                 rivals ? "  times faster than" : "");
  text += fmt::format("{:<9} {:<13}", "", "layout");
  if (sweep) {
    text += fmt::format("{:>8}", "tokens");
  }
  text += fmt::format("{:>9} {:>9} {:>9} {:>9}   {:>8} {:>8} {:>8} {:>8}  {:>6} {:>8}",
                      "median",
                      "p10",
                      "p90",
                      "max",
                      "payload",
                      "wire",
                      "logical",
                      "roof",
                      "roof",
                      "MiB");
  for (std::size_t i = 0; rivals && i < kMpiRivals.size(); ++i) {
    text += fmt::format(" {:>{}}", kMpiRivals[i].name, kRivalWidth);
  }
  return text + '\n';
}

std::string result_line(const OpResult& result, bool sweep, bool rivals) {
  std::string text = fmt::format("{:<9} {:<13}", result.op, result.layout);
  if (sweep) {
    text += fmt::format("{:>8}", result.tokens);
  }
  const Summary& time = result.time_us;
  text +=
      fmt::format("{:>9.1f} {:>9.1f} {:>9.1f} {:>9.1f}", time.median, time.p10, time.p90, time.max);
  text += fmt::format("   {:>8.2f} {:>8.2f} {:>8.2f} {:>8.2f}",
                      result.payload_gbps,
                      result.wire_gbps,
                      result.logical_gbps,
                      result.roof_gbps);
  text += fmt::format("  {:>4.0f} % {:>8.1f}",
                      result.roof_share * 100.0,
                      static_cast<double>(result.peak_bytes) / kMiB);
  for (std::size_t i = 0; rivals && i < kMpiRivals.size(); ++i) {
    const double speedup = result.speedup_vs(kMpiRivals[i].name);
    text +=
        fmt::format(" {:>{}}", speedup > 0.0 ? fmt::format("{:.2f}x", speedup) : "-", kRivalWidth);
  }
  return text + (result.verified ? "\n" : "  WRONG DATA\n");
}

std::string aggregate_line(const Report& report) {
  std::string text =
      fmt::format("All {} ranks together, payload GB/s:", report.options.workload.num_ranks);
  const char* separator = " ";
  for (const OpResult& result : report.results) {
    text += fmt::format("{}{} {} {:.2f}",
                        separator,
                        result.layout,
                        result.op,
                        result.payload_gbps * report.options.workload.num_ranks);
    separator = ", ";
  }
  return text + fmt::format(". {} iterations.\n", report.results.front().num_iterations);
}

std::string device_line(const Report& report) {
  if (report.results.front().num_sms == 0) {
    return "";
  }
  std::string text = fmt::format("{}, {} SMs of each rank, payload GB/s per SM:",
                                 report.machine.gpu,
                                 report.results.front().num_sms);
  const char* separator = " ";
  for (const OpResult& result : report.results) {
    text += fmt::format("{}{} {} {:.1f}", separator, result.layout, result.op, result.gbps_per_sm);
    separator = ", ";
  }
  return text + fmt::format(". It copies {:.0f} GB/s, read and written together.\n",
                            report.results.front().copy_gbps);
}

}  // namespace

std::string to_table(const Report& report) {
  const bool sweep = report.options.is_sweep();
  const bool rivals = has_rivals(report);
  std::string text = heading(report) + "\n" + column_titles(sweep, rivals);
  for (const OpResult& result : report.results) {
    text += result_line(result, sweep, rivals);
  }
  if (!sweep && !report.results.empty()) {
    text += "\n" + aggregate_line(report) + device_line(report);
  }
  return text;
}

}  // namespace switchyard::bench
