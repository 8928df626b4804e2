// Refusals of the operating system, as the command reports them.
#pragma once

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "switchyard/error.h"

namespace switchyard::bench {

/// SystemError of the current errno: "cannot `doing`: reason; `advice`".
[[noreturn]] inline void throw_system_error(std::string_view doing, std::string_view advice = "") {
  const int error = errno;
  throw SystemError(
      error,
      fmt::format(
          "cannot {}: {}{}{}", doing, std::strerror(error), advice.empty() ? "" : "; ", advice));
}

}  // namespace switchyard::bench
