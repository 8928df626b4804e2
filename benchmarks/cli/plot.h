// Bandwidth over message size as a picture, drawn by gnuplot.
#pragma once

#include <string>

#include "benchmarks/cli/report.h"

namespace switchyard::bench {

/// Errors: InvalidArgument when gnuplot cannot be started, with how to get it
void check_gnuplot();

/// What gnuplot is told. The data stand in the script itself.
std::string plot_script(const Report& report, const std::string& svg_path);

/// Errors: SystemError with gnuplot's own words when it fails
void write_plot(const Report& report, const std::string& svg_path);

}  // namespace switchyard::bench
