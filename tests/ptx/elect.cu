// One kernel for each function of ptx/elect.h and form of it; what they emit is the test.
#include "ptx/elect.h"

namespace ptx = switchyard::ptx;

#if __CUDA_ARCH__ >= 900 || defined(SY_PROBE_ALL)

extern "C" __global__ void probe_warp_elect(bool* out) {
  *out = ptx::warp_elect();
}

extern "C" __global__ void probe_warp_elect__lanes(bool* out, std::uint32_t lanes) {
  *out = ptx::warp_elect(lanes);
}

#endif
