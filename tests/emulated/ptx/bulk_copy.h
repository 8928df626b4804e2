// In place of ptx/bulk_copy.h: copies that happen when they like, as long as the manual lets them
// (device/bulk_engine.h).
#pragma once

#include <cstdint>

#include "ptx/cache_policy.h"
#include "ptx/operand.h"
#include "ptx/target.h"
#include "tests/emulated/device/lane.h"

namespace switchyard::ptx {

template <L2Policy Policy = NoCachePolicy, Target kTarget = kThisTarget>
void bulk_load(
    void* target, const void* source, std::uint32_t bytes, std::uint64_t* barrier, Policy = {}) {
  static_assert(kTarget.has(90), "bulk_load needs sm_90");
  emulated::bulk_load(target, source, bytes, barrier);
}
template <L2Policy Policy = NoCachePolicy, Target kTarget = kThisTarget>
void bulk_load_cluster(
    void* target, const void* source, std::uint32_t bytes, std::uint64_t* barrier, Policy = {}) {
  static_assert(kTarget.has(90), "bulk_load_cluster needs sm_90");
  emulated::bulk_load(target, source, bytes, barrier);
}
template <L2Policy Policy = NoCachePolicy, Target kTarget = kThisTarget>
void bulk_store(void* target, const void* source, std::uint32_t bytes, Policy = {}) {
  static_assert(kTarget.has(90), "bulk_store needs sm_90");
  emulated::bulk_store(target, source, bytes);
}
template <Target kTarget = kThisTarget>
void bulk_commit_group() {
  static_assert(kTarget.has(90), "bulk_commit_group needs sm_90");
  emulated::bulk_commit();
}
template <int kPending, Target kTarget = kThisTarget>
void bulk_wait_group() {
  static_assert(kTarget.has(90), "bulk_wait_group needs sm_90");
  emulated::bulk_wait(kPending);
}
template <int kPending, Target kTarget = kThisTarget>
void bulk_wait_group_read() {
  static_assert(kTarget.has(90), "bulk_wait_group_read needs sm_90");
  emulated::bulk_wait_read(kPending);
}
template <L2Policy Policy = NoCachePolicy, Target kTarget = kThisTarget>
void bulk_prefetch_l2(const void*, std::uint32_t, Policy = {}) {
  static_assert(kTarget.has(90), "bulk_prefetch_l2 needs sm_90");
}

}  // namespace switchyard::ptx
