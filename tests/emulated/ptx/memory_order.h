// In place of ptx/memory_order.h: words by std::atomic_ref, with a chance for other lanes before
// each.
#pragma once

#include <atomic>
#include <cstdint>
#include <type_traits>

#include "ptx/operand.h"
#include "tests/emulated/device/lane.h"

namespace switchyard::ptx {

namespace detail {

template <Word W>
std::atomic_ref<W> atomic(const W* word) {
  return std::atomic_ref<W>(*const_cast<W*>(word));
}
template <Word W>
W load(const W* source) {
  emulated::note_poll();
  return atomic(source).load(std::memory_order_acquire);
}
template <Word W>
W load_acquire(const W* source) {
  const W value = load(source);
  emulated::note_acquire();
  return value;
}
template <Word W>
void store(W* target, W value) {
  emulated::note_store(target, sizeof(W));
  if constexpr (sizeof(W) == sizeof(std::uint64_t)) {
    value = static_cast<W>(emulated::carry_word(target, static_cast<std::uint64_t>(value)));
  }
  atomic(target).store(value, std::memory_order_release);
}
template <Word W>
void store_release(W* target, W value) {
  emulated::note_release(target);
  store(target, value);
}

}  // namespace detail

template <Word W>
W ld_acquire_cta(const W* source) {
  return detail::load(source);
}
template <Word W>
W ld_acquire_gpu(const W* source) {
  return detail::load_acquire(source);
}
template <Word W>
W ld_acquire_sys(const W* source) {
  return detail::load_acquire(source);
}
template <Word W>
W ld_relaxed_gpu(const W* source) {
  return detail::load(source);
}
template <Word W>
W ld_relaxed_sys(const W* source) {
  return detail::load(source);
}
template <Word W>
void st_release_cta(W* target, std::type_identity_t<W> value) {
  detail::store(target, value);
}
template <Word W>
void st_release_gpu(W* target, std::type_identity_t<W> value) {
  detail::store_release(target, value);
}
template <Word W>
void st_release_sys(W* target, std::type_identity_t<W> value) {
  detail::store_release(target, value);
}
inline void st_release_sys_16(void* target, std::uint64_t first, std::uint64_t second) {
  auto* words = static_cast<std::uint64_t*>(target);
  detail::store_release(words, first);
  detail::store_release(words + 1, second);
}
template <Word W>
void st_relaxed_gpu(W* target, std::type_identity_t<W> value) {
  detail::store(target, value);
}
template <Word W>
void st_relaxed_sys(W* target, std::type_identity_t<W> value) {
  detail::store(target, value);
}

}  // namespace switchyard::ptx
