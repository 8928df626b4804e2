// A large matrix product by cuBLAS, on the SMs that transfers leave.
#include <cublas_v2.h>

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "benchmarks/cuda/companions.h"
#include "csrc/targets/cuda/cuda_error.h"
#include "switchyard/error.h"

namespace switchyard::bench {
namespace {

/// [8192, 8192] x [8192, 8192] bf16, 1.1 Tflop: 1.5 to 2 ms on an H200.
constexpr int kExtent = 8192;
/// One after the other: as long as some dispatches of 4096 tokens.
constexpr int kProducts = 8;
constexpr std::size_t kMatrixBytes = std::size_t{kExtent} * kExtent * 2;
/// Given before: cuBLAS would allocate its own in the middle of a run. The manual asks for 32 MiB
/// on Hopper.
constexpr std::size_t kWorkspaceBytes = std::size_t{32} << 20U;

void check_blas(cublasStatus_t status, const char* doing) {
  if (status != CUBLAS_STATUS_SUCCESS) {
    throw SystemError(EIO, fmt::format("{}: cuBLAS: {}", doing, cublasGetStatusString(status)));
  }
}

class Gemm final : public Companion {
 public:
  explicit Gemm(int num_sms) : memory_(3 * kMatrixBytes), workspace_(kWorkspaceBytes) {
    int device = 0;
    int all = 0;
    cuda::check(cudaGetDevice(&device), "which GPU is current");
    cuda::check(cudaDeviceGetAttribute(&all, cudaDevAttrMultiProcessorCount, device),
                "number of SMs");
    check_blas(cublasCreate(&blas_), "start");
    check_blas(cublasSetStream(blas_, stream_.get()), "set the stream");
    check_blas(cublasSetWorkspace(blas_, workspace_.data(), kWorkspaceBytes), "set the workspace");
    check_blas(cublasSetSmCountTarget(blas_, std::max(all - num_sms, 1)), "set the number of SMs");
  }
  ~Gemm() override { (void)cublasDestroy(blas_); }

  void start() override {
    const float one = 1.0F;
    const float zero = 0.0F;
    stream_.begin();
    for (int i = 0; i < kProducts; ++i) {
      check_blas(cublasGemmEx(blas_,
                              CUBLAS_OP_N,
                              CUBLAS_OP_N,
                              kExtent,
                              kExtent,
                              kExtent,
                              &one,
                              memory_.data(),
                              CUDA_R_16BF,
                              kExtent,
                              memory_.data() + kMatrixBytes,
                              CUDA_R_16BF,
                              kExtent,
                              &zero,
                              memory_.data() + 2 * kMatrixBytes,
                              CUDA_R_16BF,
                              kExtent,
                              CUBLAS_COMPUTE_32F,
                              CUBLAS_GEMM_DEFAULT),
                 "multiply");
    }
    stream_.end();
  }
  bool done() override { return stream_.done(); }
  double take_us() override { return stream_.take_us(); }

 private:
  GpuBlock memory_;
  GpuBlock workspace_;
  CompanionStream stream_;
  cublasHandle_t blas_ = nullptr;
};

}  // namespace

std::unique_ptr<Companion> make_gemm(int num_sms) {
  return std::make_unique<Gemm>(num_sms);
}

}  // namespace switchyard::bench
