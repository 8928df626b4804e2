// Conversions between wire types and fp32 on SIMD vectors, once per instruction set: what the row
// operations compute with. Everything is done on 32-bit lanes with integer operations, so that
// every instruction set, and every release of the SIMD library, gives the same bits; 16-bit
// elements are handled in pairs, one word per lane (first element low). Included by the .cc files
// under hwy/foreach_target.h, hence the guard that toggles in place of #pragma once.
#if defined(SWITCHYARD_TARGETS_HOST_ROW_CONVERT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SWITCHYARD_TARGETS_HOST_ROW_CONVERT_INL_H_
#undef SWITCHYARD_TARGETS_HOST_ROW_CONVERT_INL_H_
#else
#define SWITCHYARD_TARGETS_HOST_ROW_CONVERT_INL_H_
#endif

#include <cstdint>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace switchyard::host::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <class DU>
using FloatTag = hn::RebindToFloat<DU>;
template <class DU>
using Words = hn::Vec<DU>;
template <class DU>
using Floats = hn::Vec<FloatTag<DU>>;

/// NaN lanes become `nan_bits`, the others keep `bits`. NaN is what does not equal itself; Ne would
/// not find it, since it is an ordered comparison on AVX2 and AVX-512.
template <class DU>
HWY_INLINE Words<DU> replace_nan(DU du, Floats<DU> value, Words<DU> bits, std::uint32_t nan_bits) {
  return hn::IfThenElse(hn::RebindMask(du, hn::Eq(value, value)), bits, hn::Set(du, nan_bits));
}

/// Non-negative numbers -> a format of kMantissaBits whose smallest normal exponent is
/// kMinExponent: the code of the nearest number, even on ties. The caller bounds `magnitude` to
/// what the format holds.
///
/// Adding a power of two, `rounder`, whose fp32 unit is the unit of the format at this magnitude
/// makes the addition round and leaves the count of units in the low bits. A binade has
/// 2^kMantissaBits units and begins where the codes of the one before end, so its number times
/// that, taken from the exponent of the rounder, is added. Subnormals count from 0.
template <int kMantissaBits, int kMinExponent, class DU>
HWY_INLINE Words<DU> round_magnitude(DU du, Floats<DU> magnitude) {
  constexpr std::uint32_t kExponentGap = 23 - kMantissaBits;
  constexpr std::uint32_t kMinBits = static_cast<std::uint32_t>(127 + kMinExponent) << 23U;
  constexpr std::uint32_t kFirstCode = (kMinBits + (kExponentGap << 23U)) >> kExponentGap;
  const FloatTag<DU> df;
  const auto exponent = hn::And(hn::BitCast(du, magnitude), hn::Set(du, 0x7f800000U));
  const auto bounded = hn::Max(hn::BitCast(df, exponent), hn::BitCast(df, hn::Set(du, kMinBits)));
  const auto rounder = hn::Add(hn::BitCast(du, bounded), hn::Set(du, kExponentGap << 23U));
  const auto rounded = hn::BitCast(du, hn::Add(magnitude, hn::BitCast(df, rounder)));
  const auto binade = hn::Sub(hn::ShiftRight<23 - kMantissaBits>(rounder), hn::Set(du, kFirstCode));
  return hn::Add(hn::Sub(rounded, rounder), binade);
}

/// bf16, two per word. A wire type of two elements per word has: first/second (a word's elements as
/// fp32), pack (their inverse, rounding) and round (to the wire type and back).
struct Bf16Wire {
  static constexpr bool kPaired = true;

  template <class DU>
  static HWY_INLINE Floats<DU> first(DU, Words<DU> words) {
    return hn::BitCast(FloatTag<DU>(), hn::ShiftLeft<16>(words));
  }
  template <class DU>
  static HWY_INLINE Floats<DU> second(DU du, Words<DU> words) {
    return hn::BitCast(FloatTag<DU>(), hn::And(words, hn::Set(du, 0xffff0000U)));
  }
  template <class DU>
  static HWY_INLINE Words<DU> pack(DU du, Floats<DU> first, Floats<DU> second) {
    return hn::Or(hn::ShiftRight<16>(rounded(du, first)),
                  hn::And(rounded(du, second), hn::Set(du, 0xffff0000U)));
  }
  template <class DU>
  static HWY_INLINE Floats<DU> round(DU du, Floats<DU> value) {
    return hn::BitCast(FloatTag<DU>(), hn::And(rounded(du, value), hn::Set(du, 0xffff0000U)));
  }

 private:
  /// The bf16 in the upper half of each lane, rubbish below. The carry of rounding a NaN could
  /// reach the exponent and make it infinite or the sign and make it zero, hence the replacement.
  template <class DU>
  static HWY_INLINE Words<DU> rounded(DU du, Floats<DU> value) {
    const auto bits = hn::BitCast(du, value);
    const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1U));
    const auto half_unit = hn::Add(odd, hn::Set(du, 0x7fffU));
    return replace_nan(du, value, hn::Add(bits, half_unit), 0x7fff0000U);
  }
};

/// fp16, two per word.
struct Fp16Wire {
  static constexpr bool kPaired = true;

  template <class DU>
  static HWY_INLINE Floats<DU> first(DU du, Words<DU> words) {
    return widen(du, hn::And(words, hn::Set(du, 0xffffU)));
  }
  template <class DU>
  static HWY_INLINE Floats<DU> second(DU du, Words<DU> words) {
    return widen(du, hn::ShiftRight<16>(words));
  }
  template <class DU>
  static HWY_INLINE Words<DU> pack(DU du, Floats<DU> first, Floats<DU> second) {
    return hn::Or(narrow(du, first), hn::ShiftLeft<16>(narrow(du, second)));
  }
  template <class DU>
  static HWY_INLINE Floats<DU> round(DU du, Floats<DU> value) {
    return widen(du, narrow(du, value));
  }

 private:
  /// Moves exponent and mantissa to their fp32 places and rescales by 2^(127-15): exact, subnormals
  /// included (they are subnormal or tiny fp32 then). Infinities and NaN get the all-ones exponent
  /// back.
  template <class DU>
  static HWY_INLINE Floats<DU> widen(DU du, Words<DU> half) {
    const FloatTag<DU> df;
    const hn::RebindToSigned<DU> di;
    const auto magnitude = hn::And(half, hn::Set(du, 0x7fffU));
    const auto sign = hn::ShiftLeft<16>(hn::And(half, hn::Set(du, 0x8000U)));
    const auto scaled =
        hn::Mul(hn::BitCast(df, hn::ShiftLeft<13>(magnitude)), hn::Set(df, 0x1p112F));
    const auto is_special = hn::Gt(hn::BitCast(di, magnitude), hn::Set(di, 0x7bff));
    const auto exponent = hn::IfThenElseZero(is_special, hn::Set(di, 0x7f800000));
    return hn::BitCast(df,
                       hn::Or(hn::Or(hn::BitCast(du, scaled), hn::BitCast(du, exponent)), sign));
  }

  /// The fp16 in the lower half of each lane, zeros above. 65536 is rounded to the code of
  /// infinity, and so must be all that is larger.
  template <class DU>
  static HWY_INLINE Words<DU> narrow(DU du, Floats<DU> value) {
    const auto magnitude = hn::Min(hn::Abs(value), hn::Set(FloatTag<DU>(), 65536.0F));
    const auto sign = hn::And(hn::ShiftRight<16>(hn::BitCast(du, value)), hn::Set(du, 0x8000U));
    const auto number = hn::Or(round_magnitude<10, -14>(du, magnitude), sign);
    return replace_nan(du, value, number, 0x7fffU);
  }
};

/// fp32, one per word: `first` is all there is.
struct Fp32Wire {
  static constexpr bool kPaired = false;

  template <class DU>
  static HWY_INLINE Floats<DU> first(DU, Words<DU> words) {
    return hn::BitCast(FloatTag<DU>(), words);
  }
  template <class DU>
  static HWY_INLINE Words<DU> pack(DU du, Floats<DU> value) {
    return replace_nan(du, value, hn::BitCast(du, value), 0x7fffffffU);
  }
  template <class DU>
  static HWY_INLINE Floats<DU> round(DU, Floats<DU> value) {
    return value;
  }
};

/// fp32 magnitudes -> e4m3 in the low byte of each lane: nearest even, saturating at 448; NaN gives
/// 0x7f. The sign of `value` is dropped, since that of a NaN that arithmetic made depends on the
/// processor.
template <class DU>
HWY_INLINE Words<DU> e4m3_magnitude(DU du, Floats<DU> value) {
  const auto magnitude = hn::Min(hn::Abs(value), hn::Set(FloatTag<DU>(), 448.0F));
  return replace_nan(du, value, round_magnitude<3, -6>(du, magnitude), 0x7fU);
}

}  // namespace switchyard::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
