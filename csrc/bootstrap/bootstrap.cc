#include "switchyard/bootstrap.h"

#include "csrc/bootstrap/gather.h"

namespace switchyard {

void Bootstrap::barrier() {
  // One byte, not none: a caller's all-gather may return from an empty gather without meeting
  // anybody.
  (void)bootstrap::gather_values(*this, std::byte{1});
}

}  // namespace switchyard
