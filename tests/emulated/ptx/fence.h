// In place of ptx/fence.h. Memory is in order here; what fences allow is noted.
#pragma once

#include <atomic>

#include "ptx/target.h"
#include "tests/emulated/device/lane.h"

namespace switchyard::ptx {

inline void fence_acq_rel_cta() {
  emulated::maybe_yield();
}
inline void fence_acq_rel_gpu() {
  emulated::maybe_yield();
  emulated::note_acquire();
}
inline void fence_acq_rel_sys() {
  emulated::maybe_yield();
  emulated::note_acquire();
}
inline void fence_sc_gpu() {
  fence_acq_rel_gpu();
}
inline void fence_sc_sys() {
  fence_acq_rel_sys();
}

template <Target kTarget = kThisTarget>
void fence_proxy_async() {
  static_assert(kTarget.has(90), "fence_proxy_async needs sm_90");
  emulated::maybe_yield();
  emulated::fence_proxy(/*shared=*/true, /*global=*/true);
}
template <Target kTarget = kThisTarget>
void fence_proxy_async_global() {
  static_assert(kTarget.has(90), "fence_proxy_async_global needs sm_90");
  emulated::maybe_yield();
  emulated::fence_proxy(/*shared=*/false, /*global=*/true);
}
template <Target kTarget = kThisTarget>
void fence_proxy_async_shared() {
  static_assert(kTarget.has(90), "fence_proxy_async_shared needs sm_90");
  emulated::maybe_yield();
  emulated::fence_proxy(/*shared=*/true, /*global=*/false);
}

}  // namespace switchyard::ptx
