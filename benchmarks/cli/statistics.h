// Order statistics of measured times, and how the times of several ranks become one. Nothing else.
#pragma once

#include <cstdint>
#include <vector>

namespace switchyard::bench {

/// Units: those of the samples
struct Summary {
  double median = 0.0;
  double p10 = 0.0;
  double p90 = 0.0;
  double max = 0.0;
};

/// Value below which `fraction` (0..1) of the samples lie, interpolated linearly between
/// neighbours.
/// Errors: InvalidArgument without samples or for a fraction out of range
double quantile(std::vector<double> samples, double fraction);

/// Errors: InvalidArgument without samples
Summary summarize(const std::vector<double>& samples);

/// When one rank began and ended each iteration of something.
/// Units: nanoseconds of a clock that all ranks share
struct TimedRuns {
  std::vector<std::int64_t> begin_ns{};
  std::vector<std::int64_t> end_ns{};
};

/// Time of each iteration, in microseconds: from the moment the first rank began until the slowest
/// had ended. Ranks that take turns on a core would else seem to run side by side.
/// Shapes: by_rank [num_ranks], equally many iterations each
/// Errors: InvalidArgument for no rank or numbers that differ
std::vector<double> iteration_times_us(const std::vector<TimedRuns>& by_rank);

}  // namespace switchyard::bench
