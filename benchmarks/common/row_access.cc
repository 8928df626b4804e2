#include "benchmarks/common/row_access.h"

#include <fmt/format.h>

#include <utility>

namespace switchyard::bench {

namespace {

std::string shape_text(const ConstTensorView& view) {
  std::string text = view.given() ? dtype_name(view.dtype) : "nothing";
  for (int i = 0; i < view.ndim; ++i) {
    text += fmt::format("{}{}", i == 0 ? " [" : ", ", view.shape[static_cast<std::size_t>(i)]);
  }
  return view.ndim > 0 ? text + "]" : text;
}

}  // namespace

void note_mismatch(VerifyReport& report, std::string message) {
  if (report.mismatches == 0) {
    report.first = std::move(message);
  }
  ++report.mismatches;
}

Rows open_rows(VerifyReport& report,
               const ConstTensorView& view,
               const WantedRows& wanted,
               int rank) {
  const std::int64_t columns =
      view.given() ? view.shape[static_cast<std::size_t>(view.ndim - 1)] : 0;
  const std::size_t pitch = view.given() ? row_pitch(view) : 0;
  if (view.dtype != wanted.dtype || num_rows(view) != wanted.rows || columns != wanted.columns ||
      (wanted.rows > 0 && (pitch == 0 || view.data == nullptr))) {
    note_mismatch(report,
                  fmt::format("rank {}: {}: got {}, wanted {} [{}, {}] with rows one after another",
                              rank,
                              wanted.name,
                              shape_text(view),
                              dtype_name(wanted.dtype),
                              wanted.rows,
                              wanted.columns));
    return {};
  }
  return {static_cast<const std::byte*>(view.data),
          pitch,
          static_cast<std::size_t>(columns) * dtype_bytes(wanted.dtype)};
}

}  // namespace switchyard::bench
