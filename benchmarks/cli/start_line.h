// Where the ranks meet before each timed operation, so that none is billed for the lateness of
// another. Not part of any measured time.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "switchyard/bootstrap.h"

namespace switchyard::bench {

class StartLine {
 public:
  StartLine() = default;
  StartLine(const StartLine&) = delete;
  StartLine& operator=(const StartLine&) = delete;
  virtual ~StartLine() = default;

  /// Returns when every rank has come.
  /// Called by: one thread of every rank
  /// Errors:    Timeout when a rank does not come within the limit; Error of kPeerLost when one
  /// gave up
  virtual void wait() = 0;

  /// As wait(). Returns what every rank brought, by rank.
  virtual std::vector<std::int64_t> gather(int rank, std::int64_t mine) = 0;

  /// Makes every present and future wait of this run fail: this rank will not come again.
  virtual void give_up() noexcept = 0;
};

/// Memory that all ranks of one machine share, made before they are forked.
class SharedStartLines {
 public:
  explicit SharedStartLines(int num_ranks);
  SharedStartLines(const SharedStartLines&) = delete;
  SharedStartLines& operator=(const SharedStartLines&) = delete;
  ~SharedStartLines();

  /// One rank's side. Lifetime: not beyond this object
  [[nodiscard]] std::unique_ptr<StartLine> make(std::chrono::milliseconds limit) const;

  struct State;

 private:
  [[nodiscard]] std::size_t bytes() const;

  int num_ranks_;
  State* state_ = nullptr;
};

/// For ranks that share no memory with a launcher: a barrier of the bootstrap.
/// Lifetime: `bootstrap` outlives the result
std::unique_ptr<StartLine> make_bootstrap_start_line(Bootstrap& bootstrap);

}  // namespace switchyard::bench
