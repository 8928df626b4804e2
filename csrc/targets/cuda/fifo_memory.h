// How a GPU touches a command FIFO (csrc/transport/command_fifo.h), which lies in host memory that
// it maps: one store over the bus for each command, one load when the FIFO seems full.
#pragma once

#include <cstdint>

#include "csrc/transport/command_fifo.h"
#include "ptx/memory_order.h"

namespace switchyard::cuda {

/// Called by: one lane, which alone pushes into the FIFO.
struct FifoMemory {
  __device__ std::uint64_t load_acquire(const std::uint64_t* from) const {
    return ptx::ld_acquire_sys(from);
  }
  __device__ void store_release(transport::CommandWords* to, transport::CommandWords words) const {
    ptx::st_release_sys_16(to, words.first, words.second);
  }
};

}  // namespace switchyard::cuda
