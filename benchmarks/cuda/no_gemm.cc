// Stands in for gemm.cc where CMake found no cuBLAS.
#include <cerrno>

#include "benchmarks/cuda/companions.h"
#include "switchyard/error.h"

namespace switchyard::bench {

std::unique_ptr<Companion> make_gemm(int) {
  throw SystemError(ENOSYS,
                    "study overlap: got a build without cuBLAS, wanted one with it; install it "
                    "beside the CUDA toolkit (libcublas-dev) and configure again");
}

}  // namespace switchyard::bench
