#include "benchmarks/common/aligned_buffer.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "switchyard/error.h"

namespace switchyard::bench {

namespace {

constexpr std::size_t kPageBytes = 4096;
constexpr std::size_t kHugePageBytes = std::size_t{2} << 20U;

}  // namespace

void AlignedBuffer::Free::operator()(std::byte* data) const noexcept {
  std::free(data);
}

AlignedBuffer::AlignedBuffer(std::size_t size) : size_(size) {
  const std::size_t alignment = size >= kHugePageBytes ? kHugePageBytes : kPageBytes;
  const std::size_t allocated = (size + alignment - 1) / alignment * alignment;
  if (allocated == 0) {
    return;
  }
  data_.reset(static_cast<std::byte*>(std::aligned_alloc(alignment, allocated)));
  if (data_ == nullptr) {
    throw SystemError(ENOMEM,
                      fmt::format("benchmark memory: got none, wanted {} bytes; use fewer ranks, "
                                  "tokens or a smaller hidden",
                                  allocated));
  }
  if (alignment == kHugePageBytes) {
    // Advice only: a kernel without transparent huge pages refuses it, and nothing depends on it.
    static_cast<void>(::madvise(data_.get(), allocated, MADV_HUGEPAGE));
  }
  std::memset(data_.get(), 0, allocated);
}

void AlignedBuffer::reserve(std::size_t size) {
  if (size > size_) {
    data_.reset();
    *this = AlignedBuffer(size + size / 2);
  }
}

}  // namespace switchyard::bench
