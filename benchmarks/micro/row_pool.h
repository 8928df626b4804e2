// Rows for micro-benchmarks: shared memory in ordinary pages, as a symmetric heap has it, visited
// in random order.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstring>
#include <new>
#include <random>
#include <vector>

namespace switchyard::bench {

/// One DeepSeek-V3 token in bf16.
inline constexpr std::size_t kRowBytes = std::size_t{7168} * 2;

class RowPool {
 public:
  explicit RowPool(std::size_t num_rows) : num_rows_(num_rows), memory_(map(num_rows * kRowBytes)) {
    // bf16 numbers near 1, so that sums stay finite and no arithmetic takes a slow path.
    std::mt19937 random(1);
    for (std::size_t i = 0; i < num_rows * kRowBytes; i += 2) {
      memory_[i] = static_cast<std::byte>(random());
      memory_[i + 1] = std::byte{0x3f};
    }
  }
  RowPool(const RowPool&) = delete;
  RowPool& operator=(const RowPool&) = delete;
  ~RowPool() { munmap(memory_, num_rows_ * kRowBytes); }

  [[nodiscard]] std::byte* row(std::size_t i) const { return memory_ + i % num_rows_ * kRowBytes; }

  /// `num` rows of the pool, in random order.
  [[nodiscard]] std::vector<std::byte*> random_rows(std::size_t num, unsigned seed) const {
    std::mt19937 random(seed);
    std::vector<std::byte*> rows(num);
    for (std::byte*& chosen : rows) {
      chosen = row(random());
    }
    return rows;
  }

 private:
  static std::byte* map(std::size_t bytes) {
    void* memory = mmap(
        nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED) {
      throw std::bad_alloc();
    }
    return static_cast<std::byte*>(memory);
  }

  std::size_t num_rows_;
  std::byte* memory_;
};

}  // namespace switchyard::bench
