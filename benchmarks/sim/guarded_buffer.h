// Memory between guard bytes, at a chosen misalignment: shows any write outside of a row.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <span>

namespace switchyard::sim {

/// `bytes` bytes at `misalignment` past a 64-byte boundary, guard bytes on both sides.
class GuardedBuffer {
 public:
  explicit GuardedBuffer(std::size_t bytes, std::size_t misalignment = 0)
      : bytes_(bytes),
        begin_(kGuardBytes + misalignment),
        storage_(static_cast<std::byte*>(
            ::operator new (begin_ + bytes + kGuardBytes, std::align_val_t{kAlignment}))) {
    std::fill_n(storage_.get(), begin_ + bytes + kGuardBytes, kGuard);
  }

  [[nodiscard]] std::byte* data() const { return storage_.get() + begin_; }
  [[nodiscard]] std::span<const std::byte> row() const { return {data(), bytes_}; }

  [[nodiscard]] bool guards_intact() const {
    const auto is_guard = [](std::byte b) { return b == kGuard; };
    return std::all_of(storage_.get(), data(), is_guard) &&
           std::all_of(data() + bytes_, data() + bytes_ + kGuardBytes, is_guard);
  }

 private:
  static constexpr std::size_t kAlignment = 64;
  static constexpr std::size_t kGuardBytes = 256;
  static constexpr std::byte kGuard{0xa5};

  struct Delete {
    void operator()(std::byte* storage) const {
      ::operator delete (storage, std::align_val_t{kAlignment});
    }
  };

  std::size_t bytes_;
  std::size_t begin_;
  std::unique_ptr<std::byte, Delete> storage_;
};

}  // namespace switchyard::sim
