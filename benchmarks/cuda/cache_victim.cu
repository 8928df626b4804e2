// A kernel whose working set lives in the last-level cache: what transfers through that cache slow
// down.
#include <algorithm>

#include "benchmarks/cuda/companions.h"
#include "csrc/targets/cuda/cuda_error.h"

namespace switchyard::bench {
namespace {

constexpr unsigned kThreads = 1024;
/// So much that an SM holds one block, and beside it none of a transfer: each has SMs to itself.
constexpr int kSharedBytes = 120 * 1024;
/// As long as some dispatches of 4096 tokens: at 5 TB/s out of the cache, half of 50 MiB 1000 times
/// takes 5 ms.
constexpr int kPasses = 1000;

struct VictimArgs {
  const uint4* words;
  std::size_t count;
  unsigned* sink;
};

/// Every block reads its share of the words kPasses times. L1 is passed by, so each read is one of
/// the last-level cache.
__global__ void __launch_bounds__(kThreads) cache_victim(VictimArgs args) {
  unsigned sum = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    for (std::size_t i = blockIdx.x * kThreads + threadIdx.x; i < args.count;
         i += std::size_t{gridDim.x} * kThreads) {
      const uint4 word = __ldcg(args.words + i);
      sum += word.x ^ word.y ^ word.z ^ word.w;
    }
  }
  if (sum == 1) {  // never: all words are zero. Else the loads could be left out
    *args.sink = sum;
  }
}

class CacheVictim final : public Companion {
 public:
  explicit CacheVictim(int num_sms) : memory_(cache_bytes() / 2 + sizeof(uint4)) {
    int device = 0;
    int all = 0;
    cuda::check(cudaGetDevice(&device), "which GPU is current");
    cuda::check(cudaDeviceGetAttribute(&all, cudaDevAttrMultiProcessorCount, device),
                "number of SMs");
    cuda::check(cudaFuncSetAttribute(
                    cache_victim, cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedBytes),
                "give the cache's victim shared memory");
    num_blocks_ = static_cast<unsigned>(std::max(all - num_sms, 1));
  }

  void start() override {
    const std::size_t count = cache_bytes() / 2 / sizeof(uint4);
    auto* words = reinterpret_cast<uint4*>(memory_.data());
    stream_.begin();
    cache_victim<<<num_blocks_, kThreads, kSharedBytes, stream_.get()>>>(
        {words, count, reinterpret_cast<unsigned*>(words + count)});
    cuda::check(cudaGetLastError(), "launch the cache's victim");
    stream_.end();
  }
  bool done() override { return stream_.done(); }
  double take_us() override { return stream_.take_us(); }

 private:
  static std::size_t cache_bytes() {
    int device = 0;
    int bytes = 0;
    cuda::check(cudaGetDevice(&device), "which GPU is current");
    cuda::check(cudaDeviceGetAttribute(&bytes, cudaDevAttrL2CacheSize, device),
                "size of the last-level cache");
    return static_cast<std::size_t>(bytes);
  }

  GpuBlock memory_;
  CompanionStream stream_;
  unsigned num_blocks_ = 1;
};

}  // namespace

std::unique_ptr<Companion> make_cache_victim(int num_sms) {
  return std::make_unique<CacheVictim>(num_sms);
}

}  // namespace switchyard::bench
