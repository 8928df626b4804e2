// The sum of protocol::Reduction, line by line: each contribution is read once, sums stay in
// registers, the result is written once.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "csrc/protocol/check.h"
#include "csrc/targets/host/row_lists.h"
#include "csrc/targets/host/row_ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "csrc/targets/host/reduce_rows.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "csrc/targets/host/row_convert-inl.h"
#include "csrc/targets/host/row_store-inl.h"
#include "hwy/cache_control.h"
#include "hwy/highway.h"

#ifndef SWITCHYARD_TARGETS_HOST_REDUCE_ROWS_ONCE_
#define SWITCHYARD_TARGETS_HOST_REDUCE_ROWS_ONCE_
namespace switchyard::host {

/// Bytes of the rows of one sum that are being fetched ahead of their use, and how many of one row
/// at most. The processor's own look-ahead ends after a few lines, since it must hold the
/// arithmetic in between. Too small: waits for memory. Too large: lines leave the first-level cache
/// before they are used. A slow-down, not a failure.
/// measured: AVX-512, AMD EPYC (Zen 5) virtual machine, one core, random 14336-byte rows of 1 GiB
///   of shared memory in 4-KiB pages, best of 21, 2026-11-24; GB/s read plus written for sums of
///   1, 2, 4, 6, 8 rows, by bytes fetched ahead in each row:
///   none             17.0 19.1 24.3 27.4 30.2
///   512              17.6 20.6 25.2 29.0 32.2
///   1024             20.1 24.1 29.6 32.1 33.5
///   2048             21.4 26.4 32.1 32.3 32.0
///   4096             23.2 26.7 30.9 28.9 28.2
///   2048 with `next` 24.6 31.2 36.7 35.0 34.0
inline constexpr std::size_t kPrefetchBytes = 8192;
inline constexpr std::size_t kMaxPrefetchBytesPerRow = 4096;

/// Plain bf16 sums of up to this many rows have unrolled code: the top-k of the common models.
/// measured: as above, 1024 bytes ahead:
///   unrolled         19.7 24.6 29.1 32.4 32.9
///   loop             19.4 21.7 28.0 30.0 29.1
inline constexpr std::size_t kMaxUnrolledRows = 8;

/// Where a sum goes and how.
struct Output {
  std::byte* dst;
  std::size_t bytes;
  bool stream;
  /// The sum whose rows are fetched during the end of this one, if any.
  const protocol::Reduction* next;
};

inline std::size_t prefetch_distance(std::size_t num_rows) {
  return std::min(kPrefetchBytes / std::max<std::size_t>(num_rows, 1), kMaxPrefetchBytesPerRow);
}

}  // namespace switchyard::host
#endif  // SWITCHYARD_TARGETS_HOST_REDUCE_ROWS_ONCE_

HWY_BEFORE_NAMESPACE();
namespace switchyard::host::HWY_NAMESPACE {

template <class Visit>
HWY_INLINE void for_each_row(const PlainRows& rows, const Visit& visit) {
  for (std::size_t i = 0; i < rows.num(); ++i) {
    visit(rows.row(i));
  }
}

/// Straight-line code, with the addresses in registers.
template <std::size_t kNum, class Visit>
HWY_INLINE void for_each_row(const FixedRows<kNum>& rows, const Visit& visit) {
  const auto visit_all = [&]<std::size_t... kIndices>(std::index_sequence<kIndices...>) HWY_ATTR {
    (visit(rows.row(kIndices)), ...);
  };
  visit_all(std::make_index_sequence<kNum>());
}

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

/// Sum of rows without weights or groups.
template <class Wire, class RowList>
struct PlainSum {
  RowList rows;

  template <class DU>
  HWY_INLINE Words<DU> operator()(DU du, std::size_t offset) const {
    auto first = hn::Zero(FloatTag<DU>());
    auto second = first;
    for_each_row(rows, [&](const std::byte* row) HWY_ATTR {
      const auto words = load_words(du, row + offset);
      first = hn::Add(first, Wire::first(du, words));
      if constexpr (Wire::kPaired) {
        second = hn::Add(second, Wire::second(du, words));
      }
    });
    return pack_sums<Wire>(du, first, second);
  }
};

/// Adds one row to a sum that has groups. Sums are separate variables: vectors of some processors
/// cannot be members.
template <class Wire, bool kByNode, class DU>
HWY_INLINE void add_grouped(DU du,
                            const Addend& addend,
                            Floats<DU> values,
                            Floats<DU>& group,
                            Floats<DU>& node,
                            Floats<DU>& total) {
  const auto product = hn::Mul(hn::Set(FloatTag<DU>(), addend.weight), values);
  group = addend.opens_group ? product : hn::Add(group, product);
  if (!addend.closes_group) {
    return;
  }
  const auto rounded = Wire::round(du, group);
  if constexpr (!kByNode) {
    total = hn::Add(total, rounded);
  } else {
    node = hn::Add(node, rounded);
    if (addend.closes_node) {
      total = hn::Add(total, Wire::round(du, node));
      node = hn::Zero(FloatTag<DU>());
    }
  }
}

/// Any sum. Unweighted rows are multiplied by 1, which changes nothing and costs nothing beside
/// their way from memory.
template <class Wire, bool kByNode>
struct GroupedSum {
  const Addends& rows;

  template <class DU>
  HWY_INLINE Words<DU> operator()(DU du, std::size_t offset) const {
    auto first = hn::Zero(FloatTag<DU>());
    auto second = first;
    auto group_first = first;
    auto group_second = first;
    auto node_first = first;
    auto node_second = first;
    for (std::size_t i = 0; i < rows.num(); ++i) {
      const Addend& addend = rows.addend(i);
      const auto words = load_words(du, addend.row + offset);
      add_grouped<Wire, kByNode>(
          du, addend, Wire::first(du, words), group_first, node_first, first);
      if constexpr (Wire::kPaired) {
        add_grouped<Wire, kByNode>(
            du, addend, Wire::second(du, words), group_second, node_second, second);
      }
    }
    return pack_sums<Wire>(du, first, second);
  }
};

/// Starts to fetch what the sum needs at `offset`, or what the next one needs if that lies beyond
/// the end of this one. Plain loops: GCC 12 takes a closure that does nothing but prefetch for one
/// without effect, and drops the call.
template <class RowList>
HWY_INLINE void prefetch_at(const Output& out, const RowList& rows, std::size_t offset) {
  if (offset < out.bytes) {
    for (std::size_t i = 0; i < rows.num(); ++i) {
      hwy::Prefetch(rows.row(i) + offset);
    }
  } else if (out.next != nullptr) {
    for (int i = 0; i < out.next->num_terms; ++i) {
      hwy::Prefetch(out.next->terms[i].row + (offset - out.bytes));
    }
  }
}

/// `out` and `sum` are copies, so that no store through out.dst can be taken for a change of
/// theirs.
template <class SumOf>
void store_sum(const Output out, const SumOf sum) {
  const std::size_t distance = prefetch_distance(sum.rows.num());
  const Range lines = whole_lines(out.dst, out.bytes);
  store_range(GranuleTag(), out.dst, {0, lines.begin}, out.stream, sum);
  for (std::size_t begin = lines.begin; begin < lines.end; begin += line_bytes()) {
    prefetch_at(out, sum.rows, begin + distance);
    store_range(WordTag(), out.dst, {begin, begin + line_bytes()}, out.stream, sum);
  }
  store_range(GranuleTag(), out.dst, {lines.end, out.bytes}, out.stream, sum);
}

/// Stores the sum and returns true if it has sizeof...(kNums) rows at most, and at least one.
template <class Wire, std::size_t... kNums>
bool store_unrolled(const PlainRows& rows, const Output& out, std::index_sequence<kNums...>) {
  const auto store_if = [&]<std::size_t kNum>(std::integral_constant<std::size_t, kNum>) HWY_ATTR {
    if (rows.num() == kNum) {
      store_sum(out, PlainSum<Wire, FixedRows<kNum>>{FixedRows<kNum>(rows)});
    }
    return rows.num() == kNum;
  };
  return (store_if(std::integral_constant<std::size_t, kNums + 1>()) || ...);
}

template <class Wire>
void reduce_plain(const protocol::Reduction& reduction, const Output& out) {
  const PlainRows rows(reduction);
  // Only bf16, what models combine in, is worth the code.
  if constexpr (std::is_same_v<Wire, Bf16Wire>) {
    if (store_unrolled<Wire>(rows, out, std::make_index_sequence<kMaxUnrolledRows>())) {
      return;
    }
  }
  store_sum(out, PlainSum<Wire, PlainRows>{rows});
}

template <class Wire>
void reduce(const protocol::Reduction& reduction, const Output& out) {
  if (is_plain(reduction)) {
    reduce_plain<Wire>(reduction, out);
  } else {
    const Addends addends(reduction);
    if (reduction.by_node) {
      store_sum(out, GroupedSum<Wire, true>{addends});
    } else {
      store_sum(out, GroupedSum<Wire, false>{addends});
    }
  }
}

void reduce_rows_impl(const protocol::Reduction& reduction,
                      protocol::CopyHint hint,
                      const protocol::Reduction* next) {
  const Output out = {.dst = reduction.dst,
                      .bytes = reduction.num_elems * dtype_bytes(reduction.dtype),
                      .stream = hint == protocol::CopyHint::kStream,
                      .next = next};
  if (reduction.dtype == DType::kBf16) {
    reduce<Bf16Wire>(reduction, out);
  } else if (reduction.dtype == DType::kFp16) {
    reduce<Fp16Wire>(reduction, out);
  } else {
    reduce<Fp32Wire>(reduction, out);
  }
}

}  // namespace switchyard::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace switchyard::host {

HWY_EXPORT(reduce_rows_impl);

namespace {

void check_counts(const protocol::Reduction& reduction) {
  SY_CHECK(reduction.num_terms >= 0 && reduction.num_terms <= protocol::kMaxTerms,
           "a reduction has 0 to 32 terms");
  SY_CHECK(reduction.num_biases >= 0 && reduction.num_biases <= protocol::kMaxBiases,
           "a reduction has 0 to 2 biases");
}

void check_rows(const protocol::Reduction& reduction) {
  SY_CHECK(reduction.dtype == DType::kBf16 || reduction.dtype == DType::kFp16 ||
               reduction.dtype == DType::kFp32,
           "only bf16, fp16 and fp32 rows are summed");
  auto address_bits = reinterpret_cast<std::uintptr_t>(reduction.dst) |
                      reduction.num_elems * dtype_bytes(reduction.dtype);
  for (int i = 0; i < reduction.num_biases; ++i) {
    address_bits |= reinterpret_cast<std::uintptr_t>(reduction.biases[i]);
  }
  for (int i = 0; i < reduction.num_terms; ++i) {
    address_bits |= reinterpret_cast<std::uintptr_t>(reduction.terms[i].row);
  }
  SY_CHECK(address_bits % 16 == 0, "rows begin and end on 16 bytes");
}

}  // namespace

void reduce_rows(const protocol::Reduction& reduction,
                 protocol::CopyHint hint,
                 const protocol::Reduction* next) {
  check_counts(reduction);
  check_rows(reduction);
  HWY_DYNAMIC_DISPATCH(reduce_rows_impl)(reduction, hint, next);
}

}  // namespace switchyard::host
#endif  // HWY_ONCE
