// One row to several places. The source is taken in blocks that stay in the first-level cache while
// they are written to one destination after the other, so main memory is read once whatever the
// number of destinations.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "csrc/targets/host/row_ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "csrc/targets/host/copy_row.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "csrc/targets/host/row_store-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace switchyard::host::HWY_NAMESPACE {

inline constexpr std::size_t kBlockBytes = 4096;

struct SourceWords {
  const std::byte* src;

  template <class DU>
  HWY_INLINE hn::Vec<DU> operator()(DU du, std::size_t offset) const {
    return load_words(du, src + offset);
  }
};

template <bool kStream>
void copy_blocks(std::byte* const* dsts, int num_dsts, const std::byte* src, std::size_t bytes) {
  for (std::size_t begin = 0; begin < bytes; begin += kBlockBytes) {
    const std::size_t block_bytes = std::min(kBlockBytes, bytes - begin);
    for (int i = 0; i < num_dsts; ++i) {
      store_row<kStream>(dsts[i] + begin, block_bytes, SourceWords{src + begin});
    }
  }
}

void copy_row_impl(std::byte* const* dsts,
                   int num_dsts,
                   const std::byte* src,
                   std::size_t bytes,
                   protocol::CopyHint hint) {
  if (hint == protocol::CopyHint::kStream) {
    copy_blocks<true>(dsts, num_dsts, src, bytes);
  } else {
    copy_blocks<false>(dsts, num_dsts, src, bytes);
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
  HWY_DYNAMIC_DISPATCH(copy_row_impl)(dsts, num_dsts, src, bytes, hint);
}

}  // namespace switchyard::host
#endif  // HWY_ONCE
