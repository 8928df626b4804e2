// One object for all ranks of a process: rank 0 makes it, every rank holds it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "csrc/bootstrap/gather.h"
#include "csrc/bootstrap/together.h"
#include "switchyard/bootstrap.h"

namespace switchyard::memory {

/// Collective; all ranks are threads of one process. The last rank to let go destroys the object.
/// Errors: what `make` throws in rank 0, on every rank
template <class T>
std::shared_ptr<T> share_from_rank0(Bootstrap& bootstrap,
                                    const std::function<std::shared_ptr<T>()>& make) {
  std::shared_ptr<T> made;
  bootstrap::run_together(bootstrap, [&] {
    if (bootstrap.rank() == 0) {
      made = make();
    }
  });
  // Should a rank not come to the barrier, it may still be copying *handed: then nobody may ever
  // free it.
  auto* const handed = bootstrap.rank() == 0 ? new std::shared_ptr<T>(made) : nullptr;
  const auto address =
      bootstrap::gather_values(bootstrap, reinterpret_cast<std::uintptr_t>(handed)).front();
  std::shared_ptr<T> held = *reinterpret_cast<const std::shared_ptr<T>*>(address);
  bootstrap.barrier();
  delete handed;
  return held;
}

}  // namespace switchyard::memory
