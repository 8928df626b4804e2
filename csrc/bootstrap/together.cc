#include "csrc/bootstrap/together.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>

#include "csrc/bootstrap/gather.h"

namespace switchyard::bootstrap {
namespace {

/// One rank's result as it travels. Long enough for every message that a step of this library
/// makes.
struct Outcome {
  std::int64_t failed = 0;
  std::int64_t code = 0;
  std::int64_t system_errno = 0;
  std::array<char, 744> message{};
};
static_assert(sizeof(Outcome) == 768, "no padding: every byte that travels is initialised");

Outcome failed_outcome(ErrorCode code, int system_errno, const char* message) {
  Outcome outcome{
      .failed = 1, .code = static_cast<std::int64_t>(code), .system_errno = system_errno};
  const std::size_t length = std::min(std::strlen(message), outcome.message.size() - 1);
  std::copy_n(message, length, outcome.message.begin());
  return outcome;
}

Outcome outcome_of(const std::function<void()>& step) {
  try {
    step();
    return {};
  } catch (const SystemError& error) {
    return failed_outcome(error.code(), error.system_errno(), error.what());
  } catch (const Error& error) {
    return failed_outcome(error.code(), 0, error.what());
  } catch (const std::exception& error) {
    return failed_outcome(ErrorCode::kInternal, 0, error.what());
  }
}

}  // namespace

std::optional<Failure> run_and_compare(Bootstrap& bootstrap, const std::function<void()>& step) {
  const auto outcomes = gather_values(bootstrap, outcome_of(step));
  for (std::size_t rank = 0; rank < outcomes.size(); ++rank) {
    const Outcome& outcome = outcomes[rank];
    if (outcome.failed != 0) {
      const auto text_end = std::find(outcome.message.begin(), outcome.message.end(), '\0');
      return Failure{.rank = static_cast<int>(rank),
                     .code = static_cast<ErrorCode>(outcome.code),
                     .system_errno = static_cast<int>(outcome.system_errno),
                     .message = std::string(outcome.message.begin(), text_end)};
    }
  }
  return std::nullopt;
}

void throw_failure(const Failure& failure) {
  const std::string message = fmt::format("rank {}: {}", failure.rank, failure.message);
  switch (failure.code) {
    case ErrorCode::kInvalidArgument:
      throw InvalidArgument(message);
    case ErrorCode::kInvalidState:
      throw InvalidState(message);
    case ErrorCode::kBootstrap:
      throw BootstrapError(message);
    case ErrorCode::kSystem:
      throw SystemError(failure.system_errno, message);
    default:
      throw Error(failure.code, message);
  }
}

void run_together(Bootstrap& bootstrap, const std::function<void()>& step) {
  if (const auto failure = run_and_compare(bootstrap, step)) {
    throw_failure(*failure);
  }
}

}  // namespace switchyard::bootstrap
