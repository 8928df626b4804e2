// In place of ptx/mbarrier.h: the emulator counts, and refuses what would hang or corrupt.
#pragma once

#include <cstdint>

#include "ptx/operand.h"
#include "ptx/target.h"
#include "tests/emulated/device/lane.h"

namespace switchyard::ptx {

inline void mbarrier_init(std::uint64_t* barrier, std::uint32_t arrivals) {
  emulated::mbarrier_init(barrier, arrivals);
}
inline void mbarrier_inval(std::uint64_t* barrier) {
  emulated::mbarrier_end(barrier);
}
template <Target kTarget = kThisTarget>
void fence_mbarrier_init() {
  static_assert(kTarget.has(90), "fence_mbarrier_init needs sm_90");
}
inline void mbarrier_arrive(std::uint64_t* barrier) {
  emulated::mbarrier_arrive(barrier);
}
template <Target kTarget = kThisTarget>
void mbarrier_arrive_expect_tx(std::uint64_t* barrier, std::uint32_t bytes) {
  static_assert(kTarget.has(90), "mbarrier_arrive_expect_tx needs sm_90");
  emulated::mbarrier_expect(barrier, bytes);
  emulated::mbarrier_arrive(barrier);
}
template <Target kTarget = kThisTarget>
void mbarrier_expect_tx(std::uint64_t* barrier, std::uint32_t bytes) {
  static_assert(kTarget.has(90), "mbarrier_expect_tx needs sm_90");
  emulated::mbarrier_expect(barrier, bytes);
}
inline bool mbarrier_test_wait_parity(std::uint64_t* barrier, std::uint32_t parity) {
  return emulated::mbarrier_test(barrier, parity);
}
template <Target kTarget = kThisTarget>
bool mbarrier_try_wait_parity(std::uint64_t* barrier, std::uint32_t parity) {
  static_assert(kTarget.has(90), "mbarrier_try_wait_parity needs sm_90");
  return emulated::mbarrier_test(barrier, parity);
}
template <Target kTarget = kThisTarget>
bool mbarrier_try_wait_parity_for(std::uint64_t* barrier, std::uint32_t parity, std::uint32_t) {
  static_assert(kTarget.has(90), "mbarrier_try_wait_parity_for needs sm_90");
  return emulated::mbarrier_test(barrier, parity);
}

}  // namespace switchyard::ptx
