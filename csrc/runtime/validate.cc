#include "csrc/runtime/validate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>

#include "switchyard/error.h"

namespace switchyard::runtime {
namespace {

std::string shape_text(const ConstTensorView& view) {
  if (view.ndim < 0 || view.ndim > kMaxTensorDims) {
    return fmt::format("{} dimensions", view.ndim);
  }
  return runtime::shape_text(std::span(view.shape).first(static_cast<std::size_t>(view.ndim)));
}

std::string extent_text(std::int64_t extent, bool minimum) {
  if (extent < 0) {
    return "any";
  }
  return minimum ? fmt::format(">= {}", extent) : fmt::format("{}", extent);
}

void check_dtype(const ConstTensorView& view, const RowsWanted& wanted) {
  if (std::find(wanted.dtypes.begin(), wanted.dtypes.end(), view.dtype) != wanted.dtypes.end()) {
    return;
  }
  std::string names;
  for (const DType dtype : wanted.dtypes) {
    names += fmt::format("{}{}", names.empty() ? "" : " or ", dtype_name(dtype));
  }
  refuse(fmt::format("{} dtype", wanted.name), dtype_name(view.dtype), names);
}

/// [a, b, c, H] without gaps is [a * b * c, H].
ConstTensorView collapse(const ConstTensorView& view, const RowsWanted& wanted) {
  ConstTensorView flat = view;
  std::int64_t rows = 1;
  std::int64_t expected_stride = view.strides[static_cast<std::size_t>(view.ndim - 2)];
  for (int i = view.ndim - 2; i >= 0; --i) {
    const auto dim = static_cast<std::size_t>(i);
    if (view.strides[dim] != expected_stride && view.shape[dim] > 1) {
      refuse(fmt::format("{} stride of dimension {}", wanted.name, i),
             fmt::format("{}", view.strides[dim]),
             fmt::format("{} (leading dimensions without gaps)", expected_stride));
    }
    expected_stride *= view.shape[dim];
    rows *= view.shape[dim];
  }
  const auto last = static_cast<std::size_t>(view.ndim - 1);
  flat.ndim = 2;
  flat.shape = {rows, view.shape[last]};
  flat.strides = {view.strides[last - 1], view.strides[last]};
  return flat;
}

void check_layout(const ConstTensorView& view, const RowsWanted& wanted) {
  if (view.strides[1] != 1 && view.shape[1] > 1) {
    refuse(
        fmt::format("{} innermost stride", wanted.name), fmt::format("{}", view.strides[1]), "1");
  }
  if (view.shape[0] > 1 && view.strides[0] < view.shape[1]) {
    refuse(fmt::format("{} row stride", wanted.name),
           fmt::format("{}", view.strides[0]),
           fmt::format("at least {} elements (rows must not overlap)", view.shape[1]));
  }
  if (view.shape[0] > 1 && view.row_stride_bytes() % wanted.alignment != 0) {
    refuse(fmt::format("{} row stride", wanted.name),
           fmt::format("{} bytes", view.row_stride_bytes()),
           fmt::format("a multiple of {} bytes", wanted.alignment));
  }
}

void check_pointer(const ConstTensorView& view, const RowsWanted& wanted) {
  if (view.num_elems() == 0) {
    return;
  }
  if (view.data == nullptr) {
    refuse(fmt::format("{} data", wanted.name), "null", "a pointer to its elements");
  }
  if (reinterpret_cast<std::uintptr_t>(view.data) % wanted.alignment != 0) {
    refuse(fmt::format("{} data", wanted.name),
           fmt::format("address {}", view.data),
           fmt::format("an address aligned to {} bytes", wanted.alignment));
  }
}

/// Bytes from the first of the rows to the end of the last.
std::uint64_t extent_bytes(const Rows& rows, std::uint64_t row_bytes) {
  return static_cast<std::uint64_t>(rows.num_rows - 1) * rows.stride_bytes + row_bytes;
}

}  // namespace

std::string shape_text(std::span<const std::int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

bool rows_overlap(const Rows& a, const Rows& b, std::uint64_t row_bytes) {
  const Rows& first = std::less<>()(b.data, a.data) ? b : a;
  const Rows& second = &first == &a ? b : a;
  const auto apart = static_cast<std::uint64_t>(second.data - first.data);
  if (first.num_rows == 0 || second.num_rows == 0 || apart >= extent_bytes(first, row_bytes)) {
    return false;
  }
  const std::uint64_t stride = first.stride_bytes;
  if (stride != second.stride_bytes || stride < row_bytes) {
    return true;
  }
  // Columns of one wider matrix side by side: the ranges mingle, the rows do not.
  const std::uint64_t in_row = apart % stride;
  return in_row < row_bytes || in_row + row_bytes > stride;
}

void pack_rows(const Rows& rows, std::size_t row_bytes, void* to) {
  auto* next = static_cast<std::byte*>(to);
  if (rows.num_rows == 0) {
    return;
  }
  if (rows.stride_bytes == row_bytes) {
    std::memcpy(next, rows.data, row_bytes * static_cast<std::size_t>(rows.num_rows));
    return;
  }
  for (std::int64_t row = 0; row < rows.num_rows; ++row, next += row_bytes) {
    std::memcpy(next, rows.data + static_cast<std::uint64_t>(row) * rows.stride_bytes, row_bytes);
  }
}

void refuse(std::string_view name, std::string_view got, std::string_view wanted) {
  throw InvalidArgument(fmt::format("{}: got {}, wanted {}", name, got, wanted));
}

Rows check_rows(const ConstTensorView& view, const RowsWanted& wanted) {
  if (!view.given()) {
    refuse(wanted.name, "nothing", "a tensor");
  }
  check_dtype(view, wanted);
  const bool collapses =
      wanted.collapse_leading_dims && view.ndim > 2 && view.ndim <= kMaxTensorDims;
  if (!collapses && view.ndim != 2) {
    refuse(fmt::format("{} shape", wanted.name), shape_text(view), "two dimensions");
  }
  const ConstTensorView flat = collapses ? collapse(view, wanted) : view;
  const std::int64_t rows = flat.shape[0];
  const std::int64_t cols = flat.shape[1];
  const bool rows_fit = wanted.num_rows < 0 || rows == wanted.num_rows ||
                        (wanted.at_least_rows && rows > wanted.num_rows);
  const bool cols_fit = wanted.num_cols < 0 || cols == wanted.num_cols;
  if (rows < 0 || cols < 0 || !rows_fit || !cols_fit) {
    refuse(fmt::format("{} shape", wanted.name),
           shape_text(view),
           fmt::format("[{}, {}]",
                       extent_text(wanted.num_rows, wanted.at_least_rows),
                       extent_text(wanted.num_cols, false)));
  }
  check_layout(flat, wanted);
  check_pointer(flat, wanted);
  return {
      static_cast<std::byte*>(const_cast<void*>(flat.data)), rows, cols, flat.row_stride_bytes()};
}

const std::byte* check_vector(const ConstTensorView& view, const RowsWanted& wanted) {
  check_dtype(view, wanted);
  if (view.ndim != 1 || view.shape[0] != wanted.num_rows) {
    refuse(fmt::format("{} shape", wanted.name),
           shape_text(view),
           fmt::format("[{}]", wanted.num_rows));
  }
  if (view.strides[0] != 1 && view.shape[0] > 1) {
    refuse(fmt::format("{} stride", wanted.name), fmt::format("{}", view.strides[0]), "1");
  }
  check_pointer(view, wanted);
  return static_cast<const std::byte*>(view.data);
}

}  // namespace switchyard::runtime
