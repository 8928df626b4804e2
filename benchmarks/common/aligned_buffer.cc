#include "benchmarks/common/aligned_buffer.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cerrno>

#include "switchyard/error.h"

namespace switchyard::bench {

namespace {

constexpr std::size_t kPageBytes = 4096;
constexpr std::size_t kHugePageBytes = std::size_t{2} << 20U;

std::size_t round_up(std::size_t value, std::size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace

void AlignedBuffer::Unmap::operator()(std::byte*) const noexcept {
  ::munmap(base, bytes);
}

AlignedBuffer::AlignedBuffer(std::size_t size, Pages pages) : size_(size), pages_(pages) {
  if (size == 0) {
    return;
  }
  const bool huge = pages == Pages::kHuge && size >= kHugePageBytes;
  const std::size_t alignment = huge ? kHugePageBytes : kPageBytes;
  // mmap aligns to small pages only: map more, and use the part that is aligned.
  const std::size_t mapped = round_up(size, alignment) + (huge ? kHugePageBytes : 0);
  void* base = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) {
    throw SystemError(errno,
                      fmt::format("benchmark memory: got none, wanted {} bytes; use fewer ranks, "
                                  "tokens or a smaller hidden",
                                  mapped));
  }
  // Advice only: a kernel without transparent huge pages refuses it, and nothing depends on it.
  static_cast<void>(::madvise(base, mapped, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE));
  const auto address = reinterpret_cast<std::uintptr_t>(base);
  auto* aligned = static_cast<std::byte*>(base) + (round_up(address, alignment) - address);
  data_ = std::unique_ptr<std::byte, Unmap>(aligned, Unmap{base, mapped});
}

void AlignedBuffer::reserve(std::size_t size) {
  if (size > size_) {
    data_.reset();
    *this = AlignedBuffer(size + size / 2, pages_);
  }
}

}  // namespace switchyard::bench
