// One kernel for each function of ptx/atomic.h and form of it; what they emit is the test.
#include "ptx/atomic.h"

namespace ptx = switchyard::ptx;

extern "C" __global__ void probe_red_add_release_gpu__32(std::uint32_t* word, std::uint32_t value) {
  ptx::red_add_release_gpu(word, value);
}

extern "C" __global__ void probe_red_add_release_sys__32(std::uint32_t* word, std::uint32_t value) {
  ptx::red_add_release_sys(word, value);
}

extern "C" __global__ void probe_red_add_relaxed_gpu__32(std::uint32_t* word, std::uint32_t value) {
  ptx::red_add_relaxed_gpu(word, value);
}

extern "C" __global__ void probe_red_add_relaxed_sys__32(std::uint32_t* word, std::uint32_t value) {
  ptx::red_add_relaxed_sys(word, value);
}

extern "C" __global__ void probe_atom_add_relaxed_gpu__32(std::uint32_t* out,
                                                          std::uint32_t* word,
                                                          std::uint32_t value) {
  *out = ptx::atom_add_relaxed_gpu(word, value);
}

extern "C" __global__ void probe_atom_add_relaxed_sys__32(std::uint32_t* out,
                                                          std::uint32_t* word,
                                                          std::uint32_t value) {
  *out = ptx::atom_add_relaxed_sys(word, value);
}

extern "C" __global__ void probe_atom_add_acq_rel_gpu__32(std::uint32_t* out,
                                                          std::uint32_t* word,
                                                          std::uint32_t value) {
  *out = ptx::atom_add_acq_rel_gpu(word, value);
}

extern "C" __global__ void probe_atom_add_acq_rel_sys__32(std::uint32_t* out,
                                                          std::uint32_t* word,
                                                          std::uint32_t value) {
  *out = ptx::atom_add_acq_rel_sys(word, value);
}

extern "C" __global__ void probe_atom_exch_acq_rel_sys__32(std::uint32_t* out,
                                                           std::uint32_t* word,
                                                           std::uint32_t value) {
  *out = ptx::atom_exch_acq_rel_sys(word, value);
}

extern "C" __global__ void probe_atom_cas_acq_rel_gpu__32(std::uint32_t* out,
                                                          std::uint32_t* word,
                                                          std::uint32_t value) {
  *out = ptx::atom_cas_acq_rel_gpu(word, value, value + 1);
}

extern "C" __global__ void probe_atom_cas_acq_rel_sys__32(std::uint32_t* out,
                                                          std::uint32_t* word,
                                                          std::uint32_t value) {
  *out = ptx::atom_cas_acq_rel_sys(word, value, value + 1);
}

extern "C" __global__ void probe_red_add_release_gpu__64(std::uint64_t* word, std::uint64_t value) {
  ptx::red_add_release_gpu(word, value);
}

extern "C" __global__ void probe_red_add_release_sys__64(std::uint64_t* word, std::uint64_t value) {
  ptx::red_add_release_sys(word, value);
}

extern "C" __global__ void probe_red_add_relaxed_gpu__64(std::uint64_t* word, std::uint64_t value) {
  ptx::red_add_relaxed_gpu(word, value);
}

extern "C" __global__ void probe_red_add_relaxed_sys__64(std::uint64_t* word, std::uint64_t value) {
  ptx::red_add_relaxed_sys(word, value);
}

extern "C" __global__ void probe_atom_add_relaxed_gpu__64(std::uint64_t* out,
                                                          std::uint64_t* word,
                                                          std::uint64_t value) {
  *out = ptx::atom_add_relaxed_gpu(word, value);
}

extern "C" __global__ void probe_atom_add_relaxed_sys__64(std::uint64_t* out,
                                                          std::uint64_t* word,
                                                          std::uint64_t value) {
  *out = ptx::atom_add_relaxed_sys(word, value);
}

extern "C" __global__ void probe_atom_add_acq_rel_gpu__64(std::uint64_t* out,
                                                          std::uint64_t* word,
                                                          std::uint64_t value) {
  *out = ptx::atom_add_acq_rel_gpu(word, value);
}

extern "C" __global__ void probe_atom_add_acq_rel_sys__64(std::uint64_t* out,
                                                          std::uint64_t* word,
                                                          std::uint64_t value) {
  *out = ptx::atom_add_acq_rel_sys(word, value);
}

extern "C" __global__ void probe_atom_exch_acq_rel_sys__64(std::uint64_t* out,
                                                           std::uint64_t* word,
                                                           std::uint64_t value) {
  *out = ptx::atom_exch_acq_rel_sys(word, value);
}

extern "C" __global__ void probe_atom_cas_acq_rel_gpu__64(std::uint64_t* out,
                                                          std::uint64_t* word,
                                                          std::uint64_t value) {
  *out = ptx::atom_cas_acq_rel_gpu(word, value, value + 1);
}

extern "C" __global__ void probe_atom_cas_acq_rel_sys__64(std::uint64_t* out,
                                                          std::uint64_t* word,
                                                          std::uint64_t value) {
  *out = ptx::atom_cas_acq_rel_sys(word, value, value + 1);
}
