#include "benchmarks/cli/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <iterator>
#include <vector>

#include "benchmarks/cli/program.h"
#include "benchmarks/cli/versus_mpi.h"
#include "switchyard/error.h"

namespace switchyard::bench {
namespace {

constexpr const char* kGnuplot = "gnuplot";

struct Series {
  std::string title;
  std::string style;
  std::vector<std::pair<double, double>> points;  // bytes per rank, GB/s per rank
};

// Text inside gnuplot's single quotes.
std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) {
    result.append(c == '\'' ? 2 : 1, c);
  }
  return result + "'";
}

using Rate = std::function<double(const OpResult&)>;

Series make_series(const Report& report,
                   const std::string& op,
                   const std::string& layout,
                   const Rate& rate) {
  Series series;
  for (const OpResult& result : report.results) {
    if (result.op == op && result.layout == layout && rate(result) > 0.0) {
      series.points.emplace_back(result.payload_bytes, rate(result));
    }
  }
  return series;
}

struct Kind {
  std::string title;
  std::string style;
  Rate rate;
};

std::vector<Kind> all_kinds() {
  std::vector<Kind> kinds{
      {"", "lines lw 2.5 dt 1", [](const OpResult& result) { return result.payload_gbps; }},
      {" copy roof", "lines lw 1.5 dt 2", [](const OpResult& result) { return result.roof_gbps; }}};
  for (const MpiRival& rival : kMpiRivals) {
    kinds.push_back({fmt::format(" through {}", rival.title),
                     fmt::format("lines lw 1.5 dt {}", kinds.size() + 1),
                     [name = rival.name](const OpResult& result) {
                       const double speedup = result.speedup_vs(name);
                       return speedup > 0.0 ? result.payload_gbps / speedup : 0.0;
                     }});
  }
  return kinds;
}

// One colour for each operation and layout (told apart by colour-blind readers too); a roof is its
// operation's colour, dashed.
std::vector<Series> all_series(const Report& report) {
  static const std::vector<std::string> kColours{
      "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"};
  const std::vector<Kind> kinds = all_kinds();
  std::vector<Series> all;
  std::size_t colour = 0;
  for (const Layout layout_value : report.options.layouts) {
    const std::string layout(layout_name(layout_value));
    for (const char* op : {"dispatch", "combine"}) {
      for (const Kind& kind : kinds) {
        Series series = make_series(report, op, layout, kind.rate);
        series.title = (report.options.layouts.size() > 1 ? layout + " " : "") + op + kind.title;
        series.style =
            fmt::format("{} lc rgb '{}'", kind.style, kColours[colour % kColours.size()]);
        if (kind.title.empty()) {
          series.style.replace(0, 5, "linespoints pt 7 ps 0.6");
        }
        if (!series.points.empty()) {
          all.push_back(std::move(series));
        }
      }
      ++colour;
    }
  }
  return all;
}

std::string title_of(const Report& report) {
  const Workload& workload = report.options.workload;
  return fmt::format("{}: {} ranks, hidden {} {}, top-{} of {} experts, {} routing",
                     workload.preset,
                     workload.num_ranks,
                     workload.hidden,
                     row_dtype_name(workload.dtype),
                     workload.topk,
                     workload.num_experts,
                     workload.routing);
}

}  // namespace

std::string plot_script(const Report& report, const std::string& svg_path) {
  const std::vector<Series> all = all_series(report);
  std::string script = fmt::format(
      R"(set terminal svg size 960,640 enhanced font 'Helvetica,15' background rgb 'white'
set output {}
set title {} noenhanced offset 0,0.5
set label 1 {} noenhanced at graph 0.5,1.04 center font 'Helvetica,12' tc rgb '#555555'
set tmargin 5
set xlabel "Message size: payload bytes of each rank\n "
set ylabel 'Payload bandwidth of each rank, slowest rank (GB/s)'
set logscale x 2
set format x '%.0b %BB'
set yrange [0:*]
set grid lc rgb '#dddddd' lt 1 lw 0.5
set border 3 lc rgb '#666666'
set tics nomirror
set key bmargin center vertical maxrows {} reverse Left samplen 3 width 2
set rmargin 5
)",
      quoted(svg_path),
      quoted(title_of(report)),
      quoted(fmt::format("{}, commit {}", to_string(report.machine), report.commit)),
      all.size() / report.options.layouts.size() / 2);
  std::string plots;
  for (std::size_t i = 0; i < all.size(); ++i) {
    script += fmt::format("$series{} << EOD\n", i);
    for (const auto& [bytes, rate] : all[i].points) {
      script += fmt::format("{:.1f} {:.5f}\n", bytes, rate);
    }
    script += "EOD\n";
    plots += fmt::format("{}$series{} using 1:2 with {} title {}",
                         i == 0 ? "plot " : ", ",
                         i,
                         all[i].style,
                         quoted(all[i].title));
  }
  return script + plots + "\n";
}

void check_gnuplot() {
  if (!run_program({kGnuplot, "--version"}, "").ok()) {
    throw InvalidArgument(
        "plot: got no gnuplot that runs, wanted one; install it (apt install gnuplot-nox) or leave "
        "--plot out");
  }
}

void write_plot(const Report& report, const std::string& svg_path) {
  const ProgramResult result = run_program({kGnuplot}, plot_script(report, svg_path));
  if (!result.ok()) {
    throw SystemError(
        EIO,
        fmt::format(
            "gnuplot could not draw \"{}\": {}", svg_path, last_lines(result.error_output, 3)));
  }
}

}  // namespace switchyard::bench
