// Memory for one command FIFO of a test: zeroed, aligned.
#pragma once

#include <cstddef>
#include <vector>

#include "csrc/transport/command_fifo.h"

namespace switchyard::test {

class FifoMemory {
 public:
  explicit FifoMemory(std::uint64_t capacity)
      : lines_((transport::CommandFifo::bytes(capacity) + sizeof(Line) - 1) / sizeof(Line)),
        fifo_{reinterpret_cast<std::byte*>(lines_.data()), capacity} {}
  FifoMemory(const FifoMemory&) = delete;
  FifoMemory& operator=(const FifoMemory&) = delete;

  [[nodiscard]] const transport::CommandFifo& fifo() const { return fifo_; }

 private:
  struct alignas(64) Line {
    std::byte bytes[64]{};
  };
  std::vector<Line> lines_;
  transport::CommandFifo fifo_;
};

}  // namespace switchyard::test
