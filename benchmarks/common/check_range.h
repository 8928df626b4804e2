// What every range of the command line is checked and refused with.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string_view>

#include "switchyard/error.h"

namespace switchyard::bench {

/// Errors: InvalidArgument naming the option, what was got and what is wanted
inline void check_range(std::string_view name,
                        std::int64_t got,
                        std::int64_t least,
                        std::int64_t most) {
  if (got < least || got > most) {
    throw InvalidArgument(fmt::format("{}: got {}, wanted {} to {}", name, got, least, most));
  }
}

}  // namespace switchyard::bench
