// One kernel for each function of ptx/mbarrier.h and form of it; what they emit is the test.
#include "ptx/mbarrier.h"

namespace ptx = switchyard::ptx;

extern __shared__ std::uint64_t barrier[];

extern "C" __global__ void probe_mbarrier_init(std::uint32_t arrivals) {
  ptx::mbarrier_init(barrier, arrivals);
}

extern "C" __global__ void probe_mbarrier_inval() {
  ptx::mbarrier_inval(barrier);
}

extern "C" __global__ void probe_mbarrier_arrive() {
  ptx::mbarrier_arrive(barrier);
}

extern "C" __global__ void probe_mbarrier_test_wait_parity(bool* out, std::uint32_t parity) {
  *out = ptx::mbarrier_test_wait_parity(barrier, parity);
}

#if __CUDA_ARCH__ >= 900 || defined(SY_PROBE_ALL)

extern "C" __global__ void probe_fence_mbarrier_init() {
  ptx::fence_mbarrier_init();
}

extern "C" __global__ void probe_mbarrier_arrive_expect_tx(std::uint32_t bytes) {
  ptx::mbarrier_arrive_expect_tx(barrier, bytes);
}

extern "C" __global__ void probe_mbarrier_expect_tx(std::uint32_t bytes) {
  ptx::mbarrier_expect_tx(barrier, bytes);
}

extern "C" __global__ void probe_mbarrier_try_wait_parity(bool* out, std::uint32_t parity) {
  *out = ptx::mbarrier_try_wait_parity(barrier, parity);
}

extern "C" __global__ void probe_mbarrier_try_wait_parity_for(bool* out,
                                                              std::uint32_t parity,
                                                              std::uint32_t ns) {
  *out = ptx::mbarrier_try_wait_parity_for(barrier, parity, ns);
}

#endif
