// Kernels onto the device ahead of their first launch, which could wait for kernels that wait for
// the rank that launches.
#pragma once

#include <cstddef>

namespace switchyard::cuda {

/// Loads the kernel whose host function this is onto the current device and lets its blocks have
/// `shared_bytes`.
/// Errors: SystemError with CUDA's own text, or when the device has less shared memory
void load_kernel(const void* kernel, std::size_t shared_bytes, const char* name);

/// The same for any kernel.
template <class... Args>
void load_kernel(void (*kernel)(Args...), std::size_t shared_bytes, const char* name) {
  load_kernel(reinterpret_cast<const void*>(kernel), shared_bytes, name);
}

}  // namespace switchyard::cuda
