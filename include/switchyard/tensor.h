// Views of memory that somebody else owns, shaped like DLPack's DLTensor: pointer, element type,
// shape, strides. No memory is owned, allocated or copied here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <type_traits>

#include "switchyard/dtype.h"

namespace switchyard {

inline constexpr int kMaxTensorDims = 4;

/// A strided view; `Void` is `void` or `const void`. A default view (data == nullptr, ndim == 0)
/// means "not given". A tensor of zero rows may carry any data pointer, null included.
/// Units: shape and strides in elements.
template <class Void>
struct BasicTensorView {
  Void* data = nullptr;
  DType dtype = DType::kBf16;
  int ndim = 0;
  std::array<std::int64_t, kMaxTensorDims> shape{};
  std::array<std::int64_t, kMaxTensorDims> strides{};

  BasicTensorView() = default;

  /// Row-major contiguous view.
  BasicTensorView(Void* data_in, DType dtype_in, std::initializer_list<std::int64_t> shape_in)
      : data(data_in), dtype(dtype_in), ndim(static_cast<int>(shape_in.size())) {
    int dim = 0;
    for (const std::int64_t extent : shape_in) {
      if (dim < kMaxTensorDims) {
        shape[static_cast<std::size_t>(dim)] = extent;
      }
      ++dim;
    }
    std::int64_t stride = 1;
    for (int i = (ndim < kMaxTensorDims ? ndim : kMaxTensorDims) - 1; i >= 0; --i) {
      strides[static_cast<std::size_t>(i)] = stride;
      stride *= shape[static_cast<std::size_t>(i)];
    }
  }

  /// A writable view converts to a read-only one.
  template <class Other>
  requires(std::is_const_v<Void> && !std::is_const_v<Other>)
      BasicTensorView(const BasicTensorView<Other>& other)  // NOLINT(google-explicit-constructor)
      : data(other.data),
        dtype(other.dtype),
        ndim(other.ndim),
        shape(other.shape),
        strides(other.strides) {}

  [[nodiscard]] bool given() const { return ndim != 0; }

  [[nodiscard]] std::int64_t num_elems() const {
    std::int64_t count = ndim == 0 ? 0 : 1;
    for (int i = 0; i < ndim; ++i) {
      count *= shape[static_cast<std::size_t>(i)];
    }
    return count;
  }

  /// Bytes from one index of the first dimension to the next.
  [[nodiscard]] std::size_t row_stride_bytes() const {
    return static_cast<std::size_t>(strides[0]) * dtype_bytes(dtype);
  }
};

using TensorView = BasicTensorView<void>;
using ConstTensorView = BasicTensorView<const void>;

}  // namespace switchyard
