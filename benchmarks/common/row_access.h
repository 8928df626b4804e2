// Row addresses of tensor views whose leading dimensions count rows together, as [R, C] or [E, S,
// M, C], and what the checks of the verifier share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "benchmarks/common/verifier.h"
#include "switchyard/tensor.h"

namespace switchyard::bench {

/// Rows of a view: all dimensions but the last taken together.
template <class Void>
std::int64_t num_rows(const BasicTensorView<Void>& view) {
  std::int64_t rows = view.ndim == 0 ? 0 : 1;
  for (int i = 0; i + 1 < view.ndim; ++i) {
    rows *= view.shape[static_cast<std::size_t>(i)];
  }
  return rows;
}

/// Bytes from one row to the next, or 0 when the leading dimensions do not follow each other
/// evenly, or the elements of a row are not neighbours.
template <class Void>
std::size_t row_pitch(const BasicTensorView<Void>& view) {
  const auto last = static_cast<std::size_t>(view.ndim - 1);
  if (view.ndim < 2 || (view.shape[last] > 1 && view.strides[last] != 1)) {
    return 0;
  }
  for (std::size_t i = 0; i + 1 < last; ++i) {
    if (view.strides[i] != view.strides[i + 1] * view.shape[i + 1]) {
      return 0;
    }
  }
  return static_cast<std::size_t>(view.strides[last - 1]) * dtype_bytes(view.dtype);
}

/// Counts a mismatch and keeps the first one's message.
void note_mismatch(VerifyReport& report, std::string message);

/// A tensor of rows under judgement.
struct Rows {
  const std::byte* data = nullptr;
  std::size_t pitch = 0;
  std::size_t bytes = 0;  ///< of one row that are compared; 0: the tensor is not compared

  [[nodiscard]] bool compared() const { return bytes > 0; }
  [[nodiscard]] const std::byte* at(std::size_t row) const { return data + row * pitch; }
};

struct WantedRows {
  std::string_view name;
  DType dtype;
  std::int64_t rows;
  std::int64_t columns;
};

/// The rows of a view that must look as wanted; a view that does not is noted, and not compared.
Rows open_rows(VerifyReport& report,
               const ConstTensorView& view,
               const WantedRows& wanted,
               int rank);

}  // namespace switchyard::bench
