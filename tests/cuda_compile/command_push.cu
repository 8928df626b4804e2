// A kernel that pushes into a command FIFO: the pusher of every target, over the GPU's memory.
#include "csrc/targets/cuda/fifo_memory.h"

namespace switchyard::cuda {

__global__ void push_commands(transport::CommandPusher* pusher, std::uint64_t num_commands) {
  FifoMemory memory;
  for (std::uint64_t count = 0; count < num_commands;) {
    count += pusher->try_push(memory, {.track = 1, .bytes = 64}) ? 1 : 0;
  }
}

}  // namespace switchyard::cuda
