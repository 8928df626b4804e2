// One kernel for each function of ptx/special_registers.h and form of it; what they emit is the
// test.
#include "ptx/special_registers.h"

namespace ptx = switchyard::ptx;

extern "C" __global__ void probe_read_globaltimer(std::uint64_t* out) {
  *out = ptx::read_globaltimer();
}

extern "C" __global__ void probe_read_clock64(std::uint64_t* out) {
  *out = ptx::read_clock64();
}

extern "C" __global__ void probe_read_smid(std::uint32_t* out) {
  *out = ptx::read_smid();
}

extern "C" __global__ void probe_read_laneid(std::uint32_t* out) {
  *out = ptx::read_laneid();
}

extern "C" __global__ void probe_read_warpid(std::uint32_t* out) {
  *out = ptx::read_warpid();
}

extern "C" __global__ void probe_sleep_ns(std::uint32_t ns) {
  ptx::sleep_ns(ns);
}
