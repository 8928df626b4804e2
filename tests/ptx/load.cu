// One kernel for each function of ptx/load.h and form of it; what they emit is the test.
#include "ptx/load.h"

namespace ptx = switchyard::ptx;

extern "C" __global__ void probe_ld_global_nc_16(uint4* out, const void* in) {
  *out = ptx::ld_global_nc_16(in);
}

extern "C" __global__ void probe_ld_global_nc_16__l1(uint4* out, const void* in) {
  *out = ptx::ld_global_nc_16<ptx::L1Hint::kNoAllocate>(in);
}

extern "C" __global__ void probe_ld_global_nc_16__l2(uint4* out,
                                                     const void* in,
                                                     ptx::CachePolicy policy) {
  *out = ptx::ld_global_nc_16(in, policy);
}

extern "C" __global__ void probe_ld_global_nc_16__l1_l2(uint4* out,
                                                        const void* in,
                                                        ptx::CachePolicy policy) {
  *out = ptx::ld_global_nc_16<ptx::L1Hint::kNoAllocate>(in, policy);
}

extern "C" __global__ void probe_ld_global_nc_16__no_policy(uint4* out, const void* in) {
  *out = ptx::ld_global_nc_16(in, ptx::NoCachePolicy{});
}

extern "C" __global__ void probe_ld_global_16(uint4* out, const void* in) {
  *out = ptx::ld_global_16(in);
}

extern "C" __global__ void probe_ld_global_16__l1(uint4* out, const void* in) {
  *out = ptx::ld_global_16<ptx::L1Hint::kNoAllocate>(in);
}

extern "C" __global__ void probe_ld_global_16__l2(uint4* out,
                                                  const void* in,
                                                  ptx::CachePolicy policy) {
  *out = ptx::ld_global_16(in, policy);
}

extern "C" __global__ void probe_ld_global_16__l1_l2(uint4* out,
                                                     const void* in,
                                                     ptx::CachePolicy policy) {
  *out = ptx::ld_global_16<ptx::L1Hint::kNoAllocate>(in, policy);
}

extern "C" __global__ void probe_ld_global_16__no_policy(uint4* out, const void* in) {
  *out = ptx::ld_global_16(in, ptx::NoCachePolicy{});
}

extern "C" __global__ void probe_ld_global_nc_4(std::uint32_t* out, const void* in) {
  *out = ptx::ld_global_nc_4(in);
}

extern "C" __global__ void probe_ld_global_nc_4__l1(std::uint32_t* out, const void* in) {
  *out = ptx::ld_global_nc_4<ptx::L1Hint::kNoAllocate>(in);
}

extern "C" __global__ void probe_ld_global_4(std::uint32_t* out, const void* in) {
  *out = ptx::ld_global_4(in);
}

extern "C" __global__ void probe_ld_global_4__l1(std::uint32_t* out, const void* in) {
  *out = ptx::ld_global_4<ptx::L1Hint::kNoAllocate>(in);
}

extern "C" __global__ void probe_ld_relaxed_gpu_16(uint4* out, const void* in) {
  *out = ptx::ld_relaxed_gpu_16(in);
}

extern "C" __global__ void probe_ld_relaxed_sys_16(uint4* out, const void* in) {
  *out = ptx::ld_relaxed_sys_16(in);
}
