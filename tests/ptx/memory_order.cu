// One kernel for each function of ptx/memory_order.h and form of it; what they emit is the test.
#include "ptx/memory_order.h"

namespace ptx = switchyard::ptx;

extern "C" __global__ void probe_ld_acquire_cta__32(std::uint32_t* out, const std::uint32_t* word) {
  *out = ptx::ld_acquire_cta(word);
}

extern "C" __global__ void probe_ld_acquire_gpu__32(std::uint32_t* out, const std::uint32_t* word) {
  *out = ptx::ld_acquire_gpu(word);
}

extern "C" __global__ void probe_ld_acquire_sys__32(std::uint32_t* out, const std::uint32_t* word) {
  *out = ptx::ld_acquire_sys(word);
}

extern "C" __global__ void probe_ld_relaxed_gpu__32(std::uint32_t* out, const std::uint32_t* word) {
  *out = ptx::ld_relaxed_gpu(word);
}

extern "C" __global__ void probe_ld_relaxed_sys__32(std::uint32_t* out, const std::uint32_t* word) {
  *out = ptx::ld_relaxed_sys(word);
}

extern "C" __global__ void probe_st_release_cta__32(std::uint32_t* word, std::uint32_t value) {
  ptx::st_release_cta(word, value);
}

extern "C" __global__ void probe_st_release_gpu__32(std::uint32_t* word, std::uint32_t value) {
  ptx::st_release_gpu(word, value);
}

extern "C" __global__ void probe_st_release_sys__32(std::uint32_t* word, std::uint32_t value) {
  ptx::st_release_sys(word, value);
}

extern "C" __global__ void probe_st_release_sys_16(void* out,
                                                   std::uint64_t first,
                                                   std::uint64_t second) {
  ptx::st_release_sys_16(out, first, second);
}

extern "C" __global__ void probe_st_relaxed_gpu__32(std::uint32_t* word, std::uint32_t value) {
  ptx::st_relaxed_gpu(word, value);
}

extern "C" __global__ void probe_st_relaxed_sys__32(std::uint32_t* word, std::uint32_t value) {
  ptx::st_relaxed_sys(word, value);
}

extern "C" __global__ void probe_ld_acquire_cta__64(std::uint64_t* out, const std::uint64_t* word) {
  *out = ptx::ld_acquire_cta(word);
}

extern "C" __global__ void probe_ld_acquire_gpu__64(std::uint64_t* out, const std::uint64_t* word) {
  *out = ptx::ld_acquire_gpu(word);
}

extern "C" __global__ void probe_ld_acquire_sys__64(std::uint64_t* out, const std::uint64_t* word) {
  *out = ptx::ld_acquire_sys(word);
}

extern "C" __global__ void probe_ld_relaxed_gpu__64(std::uint64_t* out, const std::uint64_t* word) {
  *out = ptx::ld_relaxed_gpu(word);
}

extern "C" __global__ void probe_ld_relaxed_sys__64(std::uint64_t* out, const std::uint64_t* word) {
  *out = ptx::ld_relaxed_sys(word);
}

extern "C" __global__ void probe_st_release_cta__64(std::uint64_t* word, std::uint64_t value) {
  ptx::st_release_cta(word, value);
}

extern "C" __global__ void probe_st_release_gpu__64(std::uint64_t* word, std::uint64_t value) {
  ptx::st_release_gpu(word, value);
}

extern "C" __global__ void probe_st_release_sys__64(std::uint64_t* word, std::uint64_t value) {
  ptx::st_release_sys(word, value);
}

extern "C" __global__ void probe_st_relaxed_gpu__64(std::uint64_t* word, std::uint64_t value) {
  ptx::st_relaxed_gpu(word, value);
}

extern "C" __global__ void probe_st_relaxed_sys__64(std::uint64_t* word, std::uint64_t value) {
  ptx::st_relaxed_sys(word, value);
}
