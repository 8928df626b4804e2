// In place of ptx/atomic.h.
#pragma once

#include <atomic>
#include <cstdint>
#include <type_traits>

#include "ptx/memory_order.h"

namespace switchyard::ptx {

namespace detail {

template <Word W>
W add(W* target, W value) {
  emulated::note_store(target, sizeof(W));
  return atomic(target).fetch_add(value, std::memory_order_acq_rel);
}
template <Word W>
W add_acq_rel(W* target, W value) {
  emulated::note_release(target);
  const W old = add(target, value);
  emulated::note_acquire();
  return old;
}
template <Word W>
W compare_and_swap(W* target, W expected, W desired) {
  emulated::note_release(target);
  emulated::note_store(target, sizeof(W));
  atomic(target).compare_exchange_strong(expected, desired, std::memory_order_acq_rel);
  emulated::note_acquire();
  return expected;
}

}  // namespace detail

template <Word W>
void red_add_release_gpu(W* target, std::type_identity_t<W> value) {
  emulated::note_release(target);
  detail::add(target, value);
}
template <Word W>
void red_add_release_sys(W* target, std::type_identity_t<W> value) {
  emulated::note_release(target);
  detail::add(target, value);
}
template <Word W>
void red_add_relaxed_gpu(W* target, std::type_identity_t<W> value) {
  detail::add(target, value);
}
template <Word W>
void red_add_relaxed_sys(W* target, std::type_identity_t<W> value) {
  detail::add(target, value);
}
template <Word W>
W atom_add_relaxed_gpu(W* target, std::type_identity_t<W> value) {
  return detail::add(target, value);
}
template <Word W>
W atom_add_relaxed_sys(W* target, std::type_identity_t<W> value) {
  return detail::add(target, value);
}
template <Word W>
W atom_add_acq_rel_gpu(W* target, std::type_identity_t<W> value) {
  return detail::add_acq_rel(target, value);
}
template <Word W>
W atom_add_acq_rel_sys(W* target, std::type_identity_t<W> value) {
  return detail::add_acq_rel(target, value);
}
template <Word W>
W atom_exch_acq_rel_sys(W* target, std::type_identity_t<W> value) {
  emulated::note_release(target);
  emulated::note_store(target, sizeof(W));
  const W old = detail::atomic(target).exchange(value, std::memory_order_acq_rel);
  emulated::note_acquire();
  return old;
}
template <Word W>
W atom_cas_acq_rel_gpu(W* target,
                       std::type_identity_t<W> expected,
                       std::type_identity_t<W> desired) {
  return detail::compare_and_swap<W>(target, expected, desired);
}
template <Word W>
W atom_cas_acq_rel_sys(W* target,
                       std::type_identity_t<W> expected,
                       std::type_identity_t<W> desired) {
  return detail::compare_and_swap<W>(target, expected, desired);
}

}  // namespace switchyard::ptx
