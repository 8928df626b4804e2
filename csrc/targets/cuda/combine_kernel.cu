#include "csrc/targets/cuda/combine_kernel.h"

#include "csrc/targets/cuda/cuda_error.h"
#include "csrc/targets/cuda/load_kernel.h"
#include "csrc/targets/cuda/operation_kernels.h"

namespace switchyard::cuda {
namespace {

template <class Hints>
void launch_with(const CombineLaunch& launch, int num_sms, cudaStream_t stream) {
  combine_kernel<Hints>
      <<<static_cast<unsigned>(num_sms), kThreadsPerBlock, sizeof(CombineBlock), stream>>>(launch);
  check(cudaGetLastError(), "combine kernel: launch");
}

}  // namespace

void load_combine_kernels() {
  load_kernel(&combine_kernel<WithHints>, sizeof(CombineBlock), "combine");
  load_kernel(&combine_kernel<WithoutHints>, sizeof(CombineBlock), "combine");
}

void launch_combine(const CombineLaunch& launch, int num_sms, bool hints, cudaStream_t stream) {
  if (hints) {
    launch_with<WithHints>(launch, num_sms, stream);
  } else {
    launch_with<WithoutHints>(launch, num_sms, stream);
  }
}

}  // namespace switchyard::cuda
