// Page-aligned memory for inputs, outputs and the rivals' buffers: all competitors get memory of
// the same kind.
#pragma once

#include <cstddef>
#include <memory>

namespace switchyard::bench {

/// Owns `size` bytes of zeroed memory, aligned to a huge page, with transparent huge pages asked
/// for. Move-only.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  /// Errors: SystemError when there is no memory
  explicit AlignedBuffer(std::size_t size);

  [[nodiscard]] std::byte* data() const { return data_.get(); }
  [[nodiscard]] std::size_t size() const { return size_; }

  /// Makes room for `size` bytes; the contents are lost when it has to grow (half as much again, so
  /// that growth ends).
  void reserve(std::size_t size);

 private:
  struct Free {
    void operator()(std::byte* data) const noexcept;
  };
  std::unique_ptr<std::byte, Free> data_;
  std::size_t size_ = 0;
};

}  // namespace switchyard::bench
