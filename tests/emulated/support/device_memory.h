// Memory that a GPU would have to itself: a Workspace with poison in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>

#include "csrc/targets/cuda/workspace.h"

namespace switchyard::emulated {

class DeviceWorkspace {
 public:
  explicit DeviceWorkspace(const cuda::WorkspaceShape& shape) {
    const std::uint64_t bytes = places_.place(shape, nullptr);
    memory_.reset(static_cast<std::byte*>(::operator new (bytes, std::align_val_t{kAlignment})));
    std::memset(memory_.get(), 0xa5, bytes);
    places_.place(shape, memory_.get());
  }

  [[nodiscard]] const cuda::Workspace& places() const { return places_; }

 private:
  static constexpr std::size_t kAlignment = 256;
  struct Free {
    void operator()(std::byte* memory) const {
      ::operator delete (memory, std::align_val_t{kAlignment});
    }
  };

  cuda::Workspace places_;
  std::unique_ptr<std::byte, Free> memory_;
};

}  // namespace switchyard::emulated
