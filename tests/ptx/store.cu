// One kernel for each function of ptx/store.h and form of it; what they emit is the test.
#include "ptx/store.h"

namespace ptx = switchyard::ptx;

extern "C" __global__ void probe_st_global_16(void* out, uint4 value) {
  ptx::st_global_16(out, value);
}

extern "C" __global__ void probe_st_global_16__l1(void* out, uint4 value) {
  ptx::st_global_16<ptx::L1Hint::kNoAllocate>(out, value);
}

extern "C" __global__ void probe_st_global_16__l2(void* out, uint4 value, ptx::CachePolicy policy) {
  ptx::st_global_16(out, value, policy);
}

extern "C" __global__ void probe_st_global_16__l1_l2(void* out,
                                                     uint4 value,
                                                     ptx::CachePolicy policy) {
  ptx::st_global_16<ptx::L1Hint::kNoAllocate>(out, value, policy);
}

extern "C" __global__ void probe_st_global_16__no_policy(void* out, uint4 value) {
  ptx::st_global_16(out, value, ptx::NoCachePolicy{});
}

extern "C" __global__ void probe_st_global_4(void* out, std::uint32_t value) {
  ptx::st_global_4(out, value);
}

extern "C" __global__ void probe_st_global_4__l1(void* out, std::uint32_t value) {
  ptx::st_global_4<ptx::L1Hint::kNoAllocate>(out, value);
}
