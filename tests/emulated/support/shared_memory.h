// The shared memory of a test's kernel. A declaration in an unnamed namespace, where tests live,
// would name another array than the launch provides.
#pragma once

#include <cstddef>

namespace switchyard::cuda {

inline std::byte* shared_memory() {
  extern __shared__ std::byte shared[];
  return shared;
}

}  // namespace switchyard::cuda
