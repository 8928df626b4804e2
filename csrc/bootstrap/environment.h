// The only way from the process's environment into the library: nothing else calls getenv. Reads
// when it is called, at start-up; logic takes its settings as arguments.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace switchyard::bootstrap {

/// Value of the variable, or nothing when it is unset or empty.
std::optional<std::string> read_variable(const char* name);

/// The same as a whole number.
/// Errors: InvalidArgument with name and value unless it lies in [min, max]
std::optional<std::int64_t> read_integer_variable(const char* name,
                                                  std::int64_t min,
                                                  std::int64_t max);

}  // namespace switchyard::bootstrap
