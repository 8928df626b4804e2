// The version of the headers, and of the library that was linked.
#pragma once

namespace switchyard {

inline constexpr int kVersionMajor = 0;
inline constexpr int kVersionMinor = 1;
inline constexpr int kVersionPatch = 0;

/// Version of the library in use, "major.minor.patch".
const char* version();

}  // namespace switchyard
