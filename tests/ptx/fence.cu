// One kernel for each function of ptx/fence.h and form of it; what they emit is the test.
#include "ptx/fence.h"

namespace ptx = switchyard::ptx;

extern "C" __global__ void probe_fence_acq_rel_cta() {
  ptx::fence_acq_rel_cta();
}

extern "C" __global__ void probe_fence_acq_rel_gpu() {
  ptx::fence_acq_rel_gpu();
}

extern "C" __global__ void probe_fence_acq_rel_sys() {
  ptx::fence_acq_rel_sys();
}

extern "C" __global__ void probe_fence_sc_gpu() {
  ptx::fence_sc_gpu();
}

extern "C" __global__ void probe_fence_sc_sys() {
  ptx::fence_sc_sys();
}

#if __CUDA_ARCH__ >= 900 || defined(SY_PROBE_ALL)

extern "C" __global__ void probe_fence_proxy_async() {
  ptx::fence_proxy_async();
}

extern "C" __global__ void probe_fence_proxy_async_global() {
  ptx::fence_proxy_async_global();
}

extern "C" __global__ void probe_fence_proxy_async_shared() {
  ptx::fence_proxy_async_shared();
}

#endif
