// The sum of protocol::Reduction, vector by vector: each contribution is read once, sums stay in
// registers, the result is written once.
#include <array>
#include <cstddef>
#include <cstdint>

#include "csrc/targets/host/row_ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "csrc/targets/host/reduce_rows.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "csrc/targets/host/row_convert-inl.h"
#include "csrc/targets/host/row_store-inl.h"
#include "hwy/highway.h"

#ifndef SWITCHYARD_TARGETS_HOST_REDUCE_ROWS_ONCE_
#define SWITCHYARD_TARGETS_HOST_REDUCE_ROWS_ONCE_
namespace switchyard::host {

inline constexpr int kMaxAddends = protocol::kMaxBiases + protocol::kMaxTerms;
/// Sums of up to this many plain rows have code of their own: the top-k of every common model.
inline constexpr int kMaxUnrolledRows = 8;

/// A row of the sum, bias or term. A bias is a group of its own with weight 1, which changes
/// nothing.
struct Addend {
  const std::byte* row = nullptr;
  float weight = 1.0F;
  bool opens_group = true;
  bool closes_group = true;
};

/// What is added to what, in order.
struct Sum {
  std::array<Addend, kMaxAddends> addends;
  int num_addends = 0;
  bool weighted = false;
  /// No weights and no group of several rows: all roundings to the wire type but the last change
  /// nothing.
  bool plain = true;
};

inline Sum sum_of(const protocol::Reduction& reduction) {
  Sum sum;
  sum.weighted = reduction.weighted;
  sum.plain = !reduction.weighted;
  for (int i = 0; i < reduction.num_biases; ++i) {
    sum.addends[static_cast<std::size_t>(sum.num_addends++)].row = reduction.biases[i];
  }
  bool opens_group = true;
  for (int i = 0; i < reduction.num_terms; ++i) {
    const protocol::Term& term = reduction.terms[i];
    const bool closes_group = term.closes_group || i + 1 == reduction.num_terms;
    sum.addends[static_cast<std::size_t>(sum.num_addends++)] = {
        term.row, term.weight, opens_group, closes_group};
    sum.plain = sum.plain && closes_group;
    opens_group = closes_group;
  }
  return sum;
}

}  // namespace switchyard::host
#endif  // SWITCHYARD_TARGETS_HOST_REDUCE_ROWS_ONCE_

HWY_BEFORE_NAMESPACE();
namespace switchyard::host::HWY_NAMESPACE {

/// The words of one vector of the result, from the fp32 sums of its first and second elements.
template <class Wire, class DU>
HWY_INLINE Words<DU> pack_sums(DU du, Floats<DU> first, Floats<DU> second) {
  if constexpr (Wire::kPaired) {
    return Wire::pack(du, first, second);
  } else {
    (void)second;
    return Wire::pack(du, first);
  }
}

/// A plain sum of kNumRows rows.
template <class Wire, int kNumRows>
struct PlainSum {
  const std::byte* rows[kNumRows];

  template <class DU>
  HWY_INLINE Words<DU> operator()(DU du, std::size_t offset) const {
    auto first = hn::Zero(FloatTag<DU>());
    auto second = first;
    for (int i = 0; i < kNumRows; ++i) {
      const auto words = load_words(du, rows[i] + offset);
      first = hn::Add(first, Wire::first(du, words));
      if constexpr (Wire::kPaired) {
        second = hn::Add(second, Wire::second(du, words));
      }
    }
    return pack_sums<Wire>(du, first, second);
  }
};

/// Any sum.
template <class Wire, bool kWeighted>
struct GroupedSum {
  const Sum& sum;

  template <class DU>
  static HWY_INLINE Floats<DU> product(DU, Floats<DU> weight, Floats<DU> value) {
    return kWeighted ? hn::Mul(weight, value) : value;
  }

  template <class DU>
  HWY_INLINE Words<DU> operator()(DU du, std::size_t offset) const {
    auto first = hn::Zero(FloatTag<DU>());
    auto second = first;
    auto group_first = first;
    auto group_second = first;
    for (int i = 0; i < sum.num_addends; ++i) {
      const Addend& addend = sum.addends[static_cast<std::size_t>(i)];
      const auto words = load_words(du, addend.row + offset);
      const auto weight = hn::Set(FloatTag<DU>(), addend.weight);
      const auto product_first = product(du, weight, Wire::first(du, words));
      group_first = addend.opens_group ? product_first : hn::Add(group_first, product_first);
      if (addend.closes_group) {
        first = hn::Add(first, Wire::round(du, group_first));
      }
      if constexpr (Wire::kPaired) {
        const auto product_second = product(du, weight, Wire::second(du, words));
        group_second = addend.opens_group ? product_second : hn::Add(group_second, product_second);
        if (addend.closes_group) {
          second = hn::Add(second, Wire::round(du, group_second));
        }
      }
    }
    return pack_sums<Wire>(du, first, second);
  }
};

template <class Wire, bool kStream, int kNumRows>
void reduce_plain(const Sum& sum, std::byte* dst, std::size_t bytes) {
  PlainSum<Wire, kNumRows> plain;
  for (int i = 0; i < kNumRows; ++i) {
    plain.rows[i] = sum.addends[static_cast<std::size_t>(i)].row;
  }
  store_row<kStream>(dst, bytes, plain);
}

template <class Wire, bool kStream>
bool reduce_unrolled(const Sum& sum, std::byte* dst, std::size_t bytes) {
  if (!sum.plain) {
    return false;
  }
  switch (sum.num_addends) {
    case 1:
      reduce_plain<Wire, kStream, 1>(sum, dst, bytes);
      return true;
    case 2:
      reduce_plain<Wire, kStream, 2>(sum, dst, bytes);
      return true;
    case 3:
      reduce_plain<Wire, kStream, 3>(sum, dst, bytes);
      return true;
    case 4:
      reduce_plain<Wire, kStream, 4>(sum, dst, bytes);
      return true;
    case 5:
      reduce_plain<Wire, kStream, 5>(sum, dst, bytes);
      return true;
    case 6:
      reduce_plain<Wire, kStream, 6>(sum, dst, bytes);
      return true;
    case 7:
      reduce_plain<Wire, kStream, 7>(sum, dst, bytes);
      return true;
    case 8:
      reduce_plain<Wire, kStream, 8>(sum, dst, bytes);
      return true;
    default:
      return false;
  }
}

template <class Wire, bool kStream>
void reduce(const Sum& sum, std::byte* dst, std::size_t bytes) {
  if (reduce_unrolled<Wire, kStream>(sum, dst, bytes)) {
    return;
  }
  if (sum.weighted) {
    store_row<kStream>(dst, bytes, GroupedSum<Wire, true>{sum});
  } else {
    store_row<kStream>(dst, bytes, GroupedSum<Wire, false>{sum});
  }
}

template <class Wire>
void reduce_wire(const Sum& sum, std::byte* dst, std::size_t bytes, protocol::CopyHint hint) {
  if (hint == protocol::CopyHint::kStream) {
    reduce<Wire, true>(sum, dst, bytes);
  } else {
    reduce<Wire, false>(sum, dst, bytes);
  }
}

void reduce_rows_impl(const protocol::Reduction& reduction, protocol::CopyHint hint) {
  const Sum sum = sum_of(reduction);
  const std::size_t bytes = reduction.num_elems * dtype_bytes(reduction.dtype);
  switch (reduction.dtype) {
    case DType::kFp32:
      return reduce_wire<Fp32Wire>(sum, reduction.dst, bytes, hint);
    case DType::kFp16:
      return reduce_wire<Fp16Wire>(sum, reduction.dst, bytes, hint);
    default:
      return reduce_wire<Bf16Wire>(sum, reduction.dst, bytes, hint);
  }
}

}  // namespace switchyard::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace switchyard::host {

HWY_EXPORT(reduce_rows_impl);

void reduce_rows(const protocol::Reduction& reduction, protocol::CopyHint hint) {
  HWY_DYNAMIC_DISPATCH(reduce_rows_impl)(reduction, hint);
}

}  // namespace switchyard::host
#endif  // HWY_ONCE
