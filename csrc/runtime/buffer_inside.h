// What a Buffer shows to this project's own measuring tools. Not installed.
#pragma once

#include "csrc/runtime/buffer_state.h"
#include "switchyard/buffer.h"

namespace switchyard::runtime {

struct BufferInside {
  /// The heaps of all ranks, as the buffer's operations reach them.
  /// Lifetime: the buffer's
  static const protocol::Peers& heaps(const Buffer& buffer) { return buffer.state_->peers(); }
};

}  // namespace switchyard::runtime
