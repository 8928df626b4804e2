// One kernel for each function of ptx/cache_policy.h; what they emit is the test.
#include "ptx/cache_policy.h"

namespace ptx = switchyard::ptx;

extern "C" __global__ void probe_create_policy_evict_first(std::uint64_t* out, float fraction) {
  *out = ptx::create_policy_evict_first(fraction).bits;
}

extern "C" __global__ void probe_create_policy_evict_last(std::uint64_t* out, float fraction) {
  *out = ptx::create_policy_evict_last(fraction).bits;
}

extern "C" __global__ void probe_create_policy_evict_normal(std::uint64_t* out) {
  *out = ptx::create_policy_evict_normal().bits;
}

extern "C" __global__ void probe_create_policy_evict_unchanged(std::uint64_t* out) {
  *out = ptx::create_policy_evict_unchanged().bits;
}
