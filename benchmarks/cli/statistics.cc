#include "benchmarks/cli/statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "switchyard/error.h"

namespace switchyard::bench {
namespace {

double quantile_of_sorted(const std::vector<double>& sorted, double fraction) {
  const double place = fraction * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], place - static_cast<double>(below));
}

void check_samples(const std::vector<double>& samples) {
  if (samples.empty()) {
    throw InvalidArgument("statistics: got 0 samples, wanted at least 1");
  }
}

}  // namespace

double quantile(std::vector<double> samples, double fraction) {
  check_samples(samples);
  if (!(fraction >= 0.0 && fraction <= 1.0)) {
    throw InvalidArgument(fmt::format("quantile: got fraction {}, wanted 0 to 1", fraction));
  }
  std::sort(samples.begin(), samples.end());
  return quantile_of_sorted(samples, fraction);
}

Summary summarize(const std::vector<double>& samples) {
  check_samples(samples);
  std::vector<double> sorted = samples;
  std::sort(sorted.begin(), sorted.end());
  return {.median = quantile_of_sorted(sorted, 0.5),
          .p10 = quantile_of_sorted(sorted, 0.1),
          .p90 = quantile_of_sorted(sorted, 0.9),
          .max = sorted.back()};
}

std::vector<double> iteration_times_us(const std::vector<TimedRuns>& by_rank) {
  if (by_rank.empty()) {
    throw InvalidArgument("iteration times: got 0 ranks, wanted at least 1");
  }
  std::vector<std::int64_t> begin_ns = by_rank.front().begin_ns;
  std::vector<std::int64_t> end_ns = by_rank.front().end_ns;
  for (const TimedRuns& runs : by_rank) {
    if (runs.begin_ns.size() != begin_ns.size() || runs.end_ns.size() != begin_ns.size()) {
      throw InvalidArgument(
          fmt::format("iteration times: got {} beginnings and {} ends of a rank, wanted {} of both",
                      runs.begin_ns.size(),
                      runs.end_ns.size(),
                      begin_ns.size()));
    }
    for (std::size_t i = 0; i < begin_ns.size(); ++i) {
      begin_ns[i] = std::min(begin_ns[i], runs.begin_ns[i]);
      end_ns[i] = std::max(end_ns[i], runs.end_ns[i]);
    }
  }
  std::vector<double> times_us;
  for (std::size_t i = 0; i < begin_ns.size(); ++i) {
    times_us.push_back(static_cast<double>(end_ns[i] - begin_ns[i]) / 1e3);
  }
  return times_us;
}

}  // namespace switchyard::bench
