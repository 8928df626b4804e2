#include "csrc/targets/cuda/dispatch_kernel.h"

#include "csrc/targets/cuda/cuda_error.h"
#include "csrc/targets/cuda/load_kernel.h"
#include "csrc/targets/cuda/operation_kernels.h"

namespace switchyard::cuda {
namespace {

template <class Hints>
void launch_with(const DispatchLaunch& launch, int num_sms, cudaStream_t stream) {
  dispatch_kernel<Hints>
      <<<static_cast<unsigned>(num_sms), kThreadsPerBlock, sizeof(DispatchBlock), stream>>>(launch);
  check(cudaGetLastError(), "dispatch kernel: launch");
}

}  // namespace

void load_dispatch_kernels() {
  load_kernel(&dispatch_kernel<WithHints>, sizeof(DispatchBlock), "dispatch");
  load_kernel(&dispatch_kernel<WithoutHints>, sizeof(DispatchBlock), "dispatch");
}

void launch_dispatch(const DispatchLaunch& launch, int num_sms, bool hints, cudaStream_t stream) {
  if (hints) {
    launch_with<WithHints>(launch, num_sms, stream);
  } else {
    launch_with<WithoutHints>(launch, num_sms, stream);
  }
}

int resident_blocks() {
  int device = 0;
  int num_sms = 0;
  int per_sm = 0;
  check(cudaGetDevice(&device), "residency: device");
  check(cudaDeviceGetAttribute(&num_sms, cudaDevAttrMultiProcessorCount, device),
        "residency: number of SMs");
  check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(
            &per_sm, dispatch_kernel<WithHints>, kThreadsPerBlock, sizeof(DispatchBlock)),
        "residency: blocks of an SM");
  return num_sms * per_sm;
}

}  // namespace switchyard::cuda
