#include "benchmarks/common/verifier.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "benchmarks/common/row_access.h"
#include "switchyard/error.h"

namespace switchyard::bench {

namespace {

constexpr int kPoison = 0xff;  // NaN in every row type, and larger than any scale, index or weight
constexpr std::size_t kGuardAlignment = 64;

}  // namespace

void VerifyReport::merge(const VerifyReport& other) {
  if (ok()) {
    first = other.first;
  }
  rows_checked += other.rows_checked;
  bytes_checked += other.bytes_checked;
  mismatches += other.mismatches;
}

Verifier::Verifier(std::shared_ptr<const Reference> reference) : reference_(std::move(reference)) {}

void poison(const TensorView& view) {
  const std::size_t pitch = row_pitch(view);
  const std::int64_t rows = num_rows(view);
  if (rows > 0 && pitch == 0) {
    throw InvalidArgument(
        "poison: got a view whose rows do not follow each other, wanted one whose do");
  }
  const auto last = static_cast<std::size_t>(std::max(view.ndim, 1) - 1);
  const std::size_t bytes = static_cast<std::size_t>(view.shape[last]) * dtype_bytes(view.dtype);
  for (std::size_t row = 0; row < static_cast<std::size_t>(rows); ++row) {
    std::memset(static_cast<std::byte*>(view.data) + row * pitch, kPoison, bytes);
  }
}

GuardedRows::GuardedRows(DType dtype, std::int64_t num_rows, int hidden)
    : row_bytes_(static_cast<std::size_t>(hidden) * dtype_bytes(dtype)),
      guard_bytes_((row_bytes_ + kGuardAlignment - 1) / kGuardAlignment * kGuardAlignment),
      memory_(2 * guard_bytes_ + static_cast<std::size_t>(num_rows) * row_bytes_),
      view_(memory_.data() + guard_bytes_, dtype, {num_rows, hidden}) {
  poison_all();
}

void GuardedRows::poison_all() {
  std::memset(memory_.data(), kPoison, memory_.size());
}

VerifyReport GuardedRows::check_untouched(std::int64_t first_unused_row) const {
  VerifyReport report;
  const auto check = [&](std::size_t begin, std::size_t end) {
    const std::byte* first = memory_.data() + begin;
    const std::byte* last = memory_.data() + end;
    const std::byte* written = std::find_if(
        first, last, [](std::byte value) { return value != static_cast<std::byte>(kPoison); });
    report.bytes_checked += static_cast<std::int64_t>(end - begin);
    if (written != last) {
      const auto offset = static_cast<std::int64_t>(written - memory_.data()) -
                          static_cast<std::int64_t>(guard_bytes_);
      note_mismatch(
          report,
          fmt::format("byte {} of the output memory (rows in use end at {}): got {:#04x}, "
                      "wanted it untouched",
                      offset,
                      first_unused_row * static_cast<std::int64_t>(row_bytes_),
                      static_cast<unsigned>(*written)));
    }
  };
  check(0, guard_bytes_);
  check(guard_bytes_ + static_cast<std::size_t>(first_unused_row) * row_bytes_, memory_.size());
  return report;
}

}  // namespace switchyard::bench
