// Page-aligned memory for inputs, outputs and the rivals' buffers: all competitors get memory of
// the same kind.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace switchyard::bench {

enum class Pages : std::uint8_t {
  kHuge,   ///< asks for transparent huge pages when there are 2 MiB or more
  kSmall,  ///< for memory that is used in small pieces far apart
};

/// Owns `size` bytes of memory, zero and not yet taken from the system until they are touched.
/// Move-only.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  /// Errors: SystemError when the system refuses
  explicit AlignedBuffer(std::size_t size, Pages pages = Pages::kHuge);

  [[nodiscard]] std::byte* data() const { return data_.get(); }
  [[nodiscard]] std::size_t size() const { return size_; }

  /// Makes room for `size` bytes; the contents are lost when it has to grow (by half more than
  /// asked, so that growth ends).
  void reserve(std::size_t size);

 private:
  struct Unmap {
    void* base;
    std::size_t bytes;
    void operator()(std::byte* data) const noexcept;
  };
  std::unique_ptr<std::byte, Unmap> data_;
  std::size_t size_ = 0;
  Pages pages_ = Pages::kHuge;
};

}  // namespace switchyard::bench
