// Places regions inside one heap: first fit over offsets, merging neighbours on release. It never
// touches the memory.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>

namespace switchyard::memory {

/// Every region starts on a page, so that regions of different results never share one.
inline constexpr std::uint64_t kRegionAlignment = 4096;

/// Thread-safe. Offsets and sizes in bytes.
class Arena {
 public:
  /// Manages [begin, end); both multiples of kRegionAlignment.
  Arena(std::uint64_t begin, std::uint64_t end);

  /// Offset of a free region of at least `bytes` (0 bytes takes the smallest region), or nothing
  /// when no hole fits.
  std::optional<std::uint64_t> allocate(std::uint64_t bytes);

  /// Gives back what lies behind the first `bytes` of a region, which is at least as large.
  void trim(std::uint64_t offset, std::uint64_t bytes);

  /// Gives back what allocate returned. A foreign or repeated offset is a broken invariant
  /// (ErrorCode::kInternal).
  void release(std::uint64_t offset);

  [[nodiscard]] std::uint64_t largest_free_bytes() const;
  [[nodiscard]] std::uint64_t used_bytes() const;
  /// Highest used_bytes() so far.
  [[nodiscard]] std::uint64_t peak_used_bytes() const;

 private:
  /// Adds to the holes what has become free; the mutex is held.
  void add_hole(std::uint64_t begin, std::uint64_t bytes);

  mutable std::mutex mutex_;
  std::map<std::uint64_t, std::uint64_t> free_;  // offset -> bytes, no two adjacent
  std::map<std::uint64_t, std::uint64_t> used_;
  std::uint64_t used_bytes_ = 0;
  std::uint64_t peak_used_bytes_ = 0;
};

}  // namespace switchyard::memory
