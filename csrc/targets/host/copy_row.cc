// One row to several places, each line of it read from memory once.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "csrc/protocol/check.h"
#include "csrc/targets/host/row_ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "csrc/targets/host/copy_row.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "csrc/targets/host/row_store-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace switchyard::host::HWY_NAMESPACE {

/// Bytes written to one destination before the next has its turn; the source block is read again
/// from the first-level cache. Too small: more instructions per byte, and on processors with few
/// write-combining buffers lines that leave half filled. Too large: the source falls out of that
/// cache. A slow-down, not a failure.
/// measured: AVX-512, AMD EPYC (Zen 5) virtual machine, one core, 14336-byte rows, one after the
///   other from 256 MiB to random rows of 1 GiB of shared memory in 4-KiB pages, best of 25,
///   2026-11-24; GB/s read plus written, to 1, 2, 4, 8 destinations:
///   64 B                 44.6 41.0 41.4 40.5
///   256 B                43.9 40.8 42.3 41.5
///   1 KiB                45.2 42.4 42.0 40.4
///   4 KiB                45.2 38.4 36.5 41.2
///   memcpy to each       39.9 33.1 30.3 27.2
///   plain stores, 4 KiB  29.4 23.5 22.0 20.5
///   Fetching the source 0.5, 1, 2 or 4 KiB ahead gained nothing.
inline constexpr std::size_t kBlockBytes = 256;

struct Destinations {
  std::byte* const* dsts;
  int num;
};

/// The words of the row itself, for store_range.
struct Source {
  const std::byte* src;

  template <class DU>
  HWY_INLINE hn::Vec<DU> operator()(DU du, std::size_t offset) const {
    return load_words(du, src + offset);
  }
};

template <class DU>
HWY_INLINE void stream_range(DU du, Destinations to, Range range, Source source) {
  for (int i = 0; i < to.num; ++i) {
    store_range(du, to.dsts[i], range, /*stream=*/true, source);
  }
}

/// All destinations side by side; they have `lines` in common. `to` and `source` are copies, so
/// that no store through a destination can be taken for a change of theirs.
void stream_together(Destinations to, Source source, std::size_t bytes, Range lines) {
  const std::size_t step = std::max(kBlockBytes, line_bytes());
  stream_range(GranuleTag(), to, {0, lines.begin}, source);
  for (std::size_t begin = lines.begin; begin < lines.end; begin += step) {
    stream_range(WordTag(), to, {begin, std::min(begin + step, lines.end)}, source);
  }
  stream_range(GranuleTag(), to, {lines.end, bytes}, source);
}

bool lines_agree(Destinations to) {
  std::uintptr_t differing_bits = 0;
  for (int i = 1; i < to.num; ++i) {
    differing_bits |=
        reinterpret_cast<std::uintptr_t>(to.dsts[i]) ^ reinterpret_cast<std::uintptr_t>(to.dsts[0]);
  }
  return differing_bits % line_bytes() == 0;
}

void stream_row(std::byte* const* dsts, int num_dsts, const std::byte* src, std::size_t bytes) {
  const Destinations to = {dsts, num_dsts};
  if (lines_agree(to)) {
    stream_together(to, Source{src}, bytes, whole_lines(dsts[0], bytes));
    return;
  }
  // Lines begin at other offsets in each destination: blocks would end in partial lines, so one
  // whole row after another.
  for (int i = 0; i < num_dsts; ++i) {
    stream_together({dsts + i, 1}, Source{src}, bytes, whole_lines(dsts[i], bytes));
  }
}

}  // namespace switchyard::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace switchyard::host {

HWY_EXPORT(stream_row);

namespace {

/// Where the caches are to hold the copies, the C library knows the processor well enough, down to
/// stores that do not read the old line first when it is in no cache.
/// measured: the machine of kBlockBytes, switchyard_micro_bench, 2026-11-24, GB/s read plus written
///   to 1, 2, 4, 8 destinations; 0.3 MB in the second-level cache, then 0.5 GB:
///   memcpy to each            246 213 195 184    43.8 34.6 27.8 26.3
///   vector loop, 4-KiB turns  212 207 203 204    30.1 25.4 23.1 21.3
void keep_row(std::byte* const* dsts, int num_dsts, const std::byte* src, std::size_t bytes) {
  for (int i = 0; i < num_dsts; ++i) {
    std::memcpy(dsts[i], src, bytes);
  }
}

}  // namespace

void copy_row(std::byte* const* dsts,
              int num_dsts,
              const std::byte* src,
              std::size_t bytes,
              protocol::CopyHint hint) {
  SY_CHECK(num_dsts >= 1 && num_dsts <= kMaxCopyDests, "a row copy has 1 to 32 destinations");
  auto address_bits = reinterpret_cast<std::uintptr_t>(src) | bytes;
  for (int i = 0; i < num_dsts; ++i) {
    address_bits |= reinterpret_cast<std::uintptr_t>(dsts[i]);
  }
  SY_CHECK(address_bits % 16 == 0, "rows begin and end on 16 bytes");
  if (hint == protocol::CopyHint::kStream) {
    HWY_DYNAMIC_DISPATCH(stream_row)(dsts, num_dsts, src, bytes);
  } else {
    keep_row(dsts, num_dsts, src, bytes);
  }
}

}  // namespace switchyard::host
#endif  // HWY_ONCE
