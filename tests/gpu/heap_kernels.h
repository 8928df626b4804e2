// Kernels that use a heap as roles do: loads and stores of SMs, not copies.
#pragma once

#include <cstddef>
#include <cstdint>

#include "csrc/protocol/peers.h"

namespace switchyard::test {

/// The word that rank `writer` puts at word `index` of the heap of rank `owner`.
constexpr std::uint64_t pattern_word(int writer, int owner, std::uint64_t index) {
  return (static_cast<std::uint64_t>(writer + 1) << 48U) |
         (static_cast<std::uint64_t>(owner + 1) << 32U) | index;
}

/// Lets the calling thread use that GPU from here on, for kernels and copies; the first at first.
/// Errors: std::runtime_error with CUDA's own text
void use_device(int device);

/// Stores this rank's pattern into `num_words` words from `offset_bytes` on of the heap of rank
/// `owner`; returns when they are there. Errors: std::runtime_error with CUDA's own text
void store_pattern(const protocol::Peers& peers,
                   int owner,
                   std::uint64_t offset_bytes,
                   std::uint64_t num_words);

/// How many of those words, written by `writer`, are not what it wrote, as this rank's GPU sees
/// them.
std::uint64_t count_wrong(const protocol::Peers& peers,
                          int writer,
                          int owner,
                          std::uint64_t offset_bytes,
                          std::uint64_t num_words);

}  // namespace switchyard::test
