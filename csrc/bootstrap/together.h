// Steps that every rank takes for itself but that count only if all succeed: a rank that fails must
// tell the others, or they would wait for it until the deadline.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "switchyard/bootstrap.h"
#include "switchyard/error.h"

namespace switchyard::bootstrap {

/// What the lowest rank that failed reported.
struct Failure {
  int rank = 0;
  ErrorCode code = ErrorCode::kInternal;
  int system_errno = 0;  ///< with ErrorCode::kSystem
  std::string message;   ///< cut to what fits into the exchange
};

/// Runs `step` here and learns how it went everywhere: nothing if no rank threw, else the same
/// failure on every rank. `step` makes no collective call itself.
/// Called by: one thread of every rank.
std::optional<Failure> run_and_compare(Bootstrap& bootstrap, const std::function<void()>& step);

/// The same, throwing the failure: as InvalidArgument, InvalidState, BootstrapError or SystemError
/// where it is one, else as Error with its code. The text names the rank.
void run_together(Bootstrap& bootstrap, const std::function<void()>& step);

[[noreturn]] void throw_failure(const Failure& failure);

}  // namespace switchyard::bootstrap
