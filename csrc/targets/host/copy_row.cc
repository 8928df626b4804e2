// One row to several places, each line of it read from memory once.
#include <algorithm>
#include <cstddef>
#include <cstdint>

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
inline constexpr std::size_t kStreamBlockBytes = 256;
/// The same for stores into the caches.
/// measured: as above, from 0.2 MiB to 0.5 MiB, which the second-level cache holds:
///   64 B                 173 160 136 120
///   512 B                230 230 208 201
///   4 KiB                274 271 240 224
///   whole rows           278 252 228 211
inline constexpr std::size_t kKeepBlockBytes = 4096;

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

template <bool kStream, class DU>
HWY_INLINE void copy_range(DU du, const Destinations& to, Range range, const Source& source) {
  for (int i = 0; i < to.num; ++i) {
    store_range(du, to.dsts[i], range, kStream, source);
  }
}

/// All destinations side by side; they have `lines` in common.
template <bool kStream>
void copy_together(const Destinations& to, const Source& source, std::size_t bytes, Range lines) {
  const std::size_t block_bytes =
      std::max(kStream ? kStreamBlockBytes : kKeepBlockBytes, line_bytes());
  copy_range<kStream>(GranuleTag(), to, {0, lines.begin}, source);
  for (std::size_t begin = lines.begin; begin < lines.end; begin += block_bytes) {
    const Range block = {begin, std::min(begin + block_bytes, lines.end)};
    copy_range<kStream>(WordTag(), to, block, source);
  }
  copy_range<kStream>(GranuleTag(), to, {lines.end, bytes}, source);
}

bool lines_agree(const Destinations& to) {
  std::uintptr_t differing_bits = 0;
  for (int i = 1; i < to.num; ++i) {
    differing_bits |=
        reinterpret_cast<std::uintptr_t>(to.dsts[i]) ^ reinterpret_cast<std::uintptr_t>(to.dsts[0]);
  }
  return differing_bits % line_bytes() == 0;
}

template <bool kStream>
void copy_to(const Destinations& to, const Source& source, std::size_t bytes) {
  if (lines_agree(to)) {
    copy_together<kStream>(to, source, bytes, whole_lines(to.dsts[0], bytes));
    return;
  }
  // Lines begin at other offsets in each destination: blocks would end in partial lines, so one
  // whole row after another.
  for (int i = 0; i < to.num; ++i) {
    copy_together<kStream>({to.dsts + i, 1}, source, bytes, whole_lines(to.dsts[i], bytes));
  }
}

void copy_row_impl(std::byte* const* dsts,
                   int num_dsts,
                   const std::byte* src,
                   std::size_t bytes,
                   protocol::CopyHint hint) {
  const Destinations to = {dsts, num_dsts};
  if (hint == protocol::CopyHint::kStream) {
    copy_to<true>(to, Source{src}, bytes);
  } else {
    copy_to<false>(to, Source{src}, bytes);
  }
}

}  // namespace switchyard::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace switchyard::host {

HWY_EXPORT(copy_row_impl);

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
  HWY_DYNAMIC_DISPATCH(copy_row_impl)(dsts, num_dsts, src, bytes, hint);
}

}  // namespace switchyard::host
#endif  // HWY_ONCE
