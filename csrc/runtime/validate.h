// Checks of what callers hand in: each failure is an InvalidArgument with the name, what was got
// and what is wanted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "switchyard/tensor.h"

namespace switchyard::runtime {

/// Rows of a tensor as the protocol sees them. Units: stride in bytes.
struct Rows {
  std::byte* data = nullptr;
  std::int64_t num_rows = 0;
  std::int64_t num_cols = 0;
  std::uint64_t stride_bytes = 0;
};

/// What check_rows demands. -1 for num_rows or num_cols: any.
struct RowsWanted {
  std::string_view name;
  std::initializer_list<DType> dtypes;
  std::int64_t num_rows = -1;
  std::int64_t num_cols = -1;
  std::size_t alignment = 1;           ///< of the data pointer and of the row stride, in bytes
  bool at_least_rows = false;          ///< num_rows is a minimum
  bool collapse_leading_dims = false;  ///< accept [a, b, c, H] contiguous as [a * b * c, H]
};

/// Checks a matrix: two dimensions, element type, shape, innermost stride 1, alignment, data
/// present when it has elements.
Rows check_rows(const ConstTensorView& view, const RowsWanted& wanted);

/// The same for a vector; returns its pointer.
const std::byte* check_vector(const ConstTensorView& view, const RowsWanted& wanted);

/// Copies the rows to one place without gaps. Shapes: to [num_rows * row_bytes]
void pack_rows(const Rows& rows, std::size_t row_bytes, void* to);

/// "[2, 3]", as messages show a shape.
std::string shape_text(std::span<const std::int64_t> shape);

/// Whether a byte may belong to a row of both. Exact where there are no gaps between rows or both
/// have one stride; else what lies between rows counts too. Units: row_bytes of each row are used
bool rows_overlap(const Rows& a, const Rows& b, std::uint64_t row_bytes);

/// InvalidArgument with "name: got ..., wanted ...".
[[noreturn]] void refuse(std::string_view name, std::string_view got, std::string_view wanted);

}  // namespace switchyard::runtime
