// One kernel for each function of ptx/bulk_copy.h and form of it; what they emit is the test.
#include "ptx/bulk_copy.h"

namespace ptx = switchyard::ptx;

// A barrier, and a row behind it.
extern __shared__ std::uint64_t barrier[];

#if __CUDA_ARCH__ >= 900 || defined(SY_PROBE_ALL)

extern "C" __global__ void probe_bulk_load(const void* in, std::uint32_t bytes) {
  ptx::bulk_load(barrier + 2, in, bytes, barrier);
}

extern "C" __global__ void probe_bulk_load__l2(const void* in,
                                               std::uint32_t bytes,
                                               ptx::CachePolicy policy) {
  ptx::bulk_load(barrier + 2, in, bytes, barrier, policy);
}

extern "C" __global__ void probe_bulk_load_cluster(const void* in, std::uint32_t bytes) {
  ptx::bulk_load_cluster(barrier + 2, in, bytes, barrier);
}

extern "C" __global__ void probe_bulk_load_cluster__l2(const void* in,
                                                       std::uint32_t bytes,
                                                       ptx::CachePolicy policy) {
  ptx::bulk_load_cluster(barrier + 2, in, bytes, barrier, policy);
}

extern "C" __global__ void probe_bulk_store(void* out, std::uint32_t bytes) {
  ptx::bulk_store(out, barrier + 2, bytes);
}

extern "C" __global__ void probe_bulk_store__l2(void* out,
                                                std::uint32_t bytes,
                                                ptx::CachePolicy policy) {
  ptx::bulk_store(out, barrier + 2, bytes, policy);
}

extern "C" __global__ void probe_bulk_commit_group() {
  ptx::bulk_commit_group();
}

extern "C" __global__ void probe_bulk_wait_group() {
  ptx::bulk_wait_group<0>();
}

extern "C" __global__ void probe_bulk_wait_group__some() {
  ptx::bulk_wait_group<3>();
}

extern "C" __global__ void probe_bulk_wait_group_read() {
  ptx::bulk_wait_group_read<0>();
}

extern "C" __global__ void probe_bulk_wait_group_read__some() {
  ptx::bulk_wait_group_read<3>();
}

extern "C" __global__ void probe_bulk_prefetch_l2(const void* in, std::uint32_t bytes) {
  ptx::bulk_prefetch_l2(in, bytes);
}

extern "C" __global__ void probe_bulk_prefetch_l2__l2(const void* in,
                                                      std::uint32_t bytes,
                                                      ptx::CachePolicy policy) {
  ptx::bulk_prefetch_l2(in, bytes, policy);
}

#endif
