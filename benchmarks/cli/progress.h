// A one-line progress bar for people: only on a terminal, and only for runs long enough to wonder
// about.
#pragma once

#include <chrono>
#include <string>

namespace switchyard::bench {

class ProgressBar {
 public:
  /// Draws to the error stream when that is a terminal; otherwise every call does nothing.
  ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  ~ProgressBar() { clear(); }

  /// `fraction` done (0..1), and what is being done now.
  void show(double fraction, const std::string& doing);
  /// Removes the line, so that other output starts on a clean one.
  void clear();

 private:
  bool is_terminal_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point started_;
};

/// The bar as text, `width` characters for the bar itself: "[####------]  40 % doing, 3 s left".
std::string render_progress(double fraction,
                            std::chrono::duration<double> elapsed,
                            const std::string& doing,
                            int width);

}  // namespace switchyard::bench
