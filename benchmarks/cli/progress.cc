#include "benchmarks/cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace switchyard::bench {
namespace {

constexpr int kBarWidth = 30;
constexpr std::chrono::seconds kQuietTime{2};
constexpr const char* kEraseLine = "\r\x1b[K";

}  // namespace

ProgressBar::ProgressBar()
    : is_terminal_(::isatty(STDERR_FILENO) == 1), started_(std::chrono::steady_clock::now()) {}

void ProgressBar::show(double fraction, const std::string& doing) {
  const auto elapsed = std::chrono::steady_clock::now() - started_;
  if (!is_terminal_ || elapsed < kQuietTime) {
    return;
  }
  fmt::print(stderr, "{}{}", kEraseLine, render_progress(fraction, elapsed, doing, kBarWidth));
  std::fflush(stderr);
  drawn_ = true;
}

void ProgressBar::clear() {
  if (drawn_) {
    fmt::print(stderr, "{}", kEraseLine);
    std::fflush(stderr);
    drawn_ = false;
  }
}

std::string render_progress(double fraction,
                            std::chrono::duration<double> elapsed,
                            const std::string& doing,
                            int width) {
  const double done = std::clamp(fraction, 0.0, 1.0);
  const int filled = static_cast<int>(std::lround(done * width));
  std::string line = fmt::format(
      "[{:#<{}}{:->{}}] {:3.0f} % {}", "", filled, "", width - filled, done * 100, doing);
  // Before this the estimate jumps about.
  constexpr double kEstimateFrom = 0.05;
  if (done >= kEstimateFrom && done < 1.0) {
    line += fmt::format(", {:.0f} s left", elapsed.count() * (1.0 - done) / done);
  }
  return line;
}

}  // namespace switchyard::bench
