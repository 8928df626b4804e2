#include "csrc/runtime/results.h"

#include <fmt/format.h>

#include "switchyard/error.h"

namespace switchyard {
namespace runtime {
namespace {

/// Views over one block of a landing: [R, cols] for compact layouts, [E, N, M, cols] for padded;
/// without cols, one dimension less.
class BlockShape {
 public:
  explicit BlockShape(const HandleState& handle) {
    if (handle.layout == Layout::kPadded) {
      rows_ = {handle.shape().experts_per_rank(), handle.num_ranks, handle.max_tokens};
      ndim_ = 3;
    } else {
      rows_ = {handle.num_rows};
      ndim_ = 1;
    }
  }

  [[nodiscard]] TensorView vector(std::byte* data, DType dtype, std::uint64_t stride_bytes) const {
    TensorView view;
    view.data = data;
    view.dtype = dtype;
    view.ndim = ndim_;
    auto stride = static_cast<std::int64_t>(stride_bytes / dtype_bytes(dtype));
    for (int i = ndim_ - 1; i >= 0; --i) {
      const auto dim = static_cast<std::size_t>(i);
      view.shape[dim] = rows_[dim];
      view.strides[dim] = stride;
      stride *= rows_[dim];
    }
    return view;
  }

  [[nodiscard]] TensorView matrix(std::byte* data,
                                  DType dtype,
                                  std::uint64_t stride_bytes,
                                  std::int64_t cols) const {
    TensorView view = vector(data, dtype, stride_bytes);
    view.shape[static_cast<std::size_t>(ndim_)] = cols;
    view.strides[static_cast<std::size_t>(ndim_)] = 1;
    ++view.ndim;
    return view;
  }

 private:
  std::array<std::int64_t, kMaxTensorDims - 1> rows_{};
  int ndim_ = 1;
};

/// The caller's memory may have room for more rows than came.
TensorView first_rows(const TensorView& view, std::int64_t num_rows) {
  TensorView used = view;
  if (used.ndim == 2) {
    used.shape[0] = num_rows;
  }
  return used;
}

}  // namespace

LandedRows::LandedRows(std::shared_ptr<BufferState> buffer,
                       const DispatchOperation& operation,
                       GiveBack how)
    : region_(std::move(buffer), operation.region, how) {
  const protocol::DispatchProblem& problem = operation.args.problem;
  const protocol::PacketLayout& packet = problem.packet;
  const HandleState& handle = *operation.handle;
  const protocol::LandingLayout landing = operation.args.landing_of(handle.num_rows);
  const BlockShape shape(handle);
  std::byte* base = region_.data();
  x = shape.matrix(
      base + landing.payload_offset(0),
      operation.out_dtype,
      packet.payload_bytes,
      static_cast<std::int64_t>(packet.payload_bytes / dtype_bytes(operation.out_dtype)));
  if (operation.args.input.scales_words != 0) {
    scales = shape.matrix(base + landing.scales_offset(0),
                          operation.scale_dtype,
                          packet.scales_bytes,
                          operation.args.input.scales_words);
  }
  if (operation.out_x.given()) {
    x = first_rows(operation.out_x, handle.num_rows);
  }
  if (operation.out_scales.given()) {
    scales = first_rows(operation.out_scales, handle.num_rows);
  }
  std::byte* metadata = base + landing.metadata_offset(0);
  const std::uint64_t stride = packet.metadata_bytes();
  source_rank = shape.vector(
      metadata + offsetof(protocol::MetadataHeader, source_rank), DType::kInt32, stride);
  source_token = shape.vector(
      metadata + offsetof(protocol::MetadataHeader, source_token), DType::kInt32, stride);
  topk_idx = shape.matrix(
      metadata + packet.indices_offset(), handle.source->index_dtype, stride, packet.num_entries);
  if (handle.source->weighted) {
    topk_weights =
        shape.matrix(metadata + packet.weights_offset(), DType::kFp32, stride, packet.num_entries);
  }
}

CombinedRows::CombinedRows(std::shared_ptr<BufferState> buffer, CombineOperation& operation)
    : region_(buffer, operation.out_region),
      copy_in_(std::move(buffer), operation.copy_in_region),
      summed_topk_weights_(std::move(operation.summed_topk_weights)),
      device_topk_weights_(std::move(operation.device_topk_weights)) {
  const protocol::CombineProblem& problem = operation.args.problem;
  if (operation.out.given()) {
    out = operation.out;
  } else {
    std::byte* data = operation.out_region == protocol::kNoRegion ? nullptr : region_.data();
    out = TensorView(data, problem.dtype, {problem.num_tokens, problem.hidden});
  }
  if (problem.sums_topk_weights) {
    const void* sums = device_topk_weights_ != nullptr
                           ? static_cast<const void*>(device_topk_weights_->data())
                           : summed_topk_weights_.data();
    topk_weights = ConstTensorView(sums, DType::kFp32, {problem.num_tokens, problem.topk});
  }
}

}  // namespace runtime

namespace {

template <class Owned>
const Owned& require(const std::unique_ptr<Owned>& owned, const char* what) {
  if (owned == nullptr) {
    throw InvalidState(fmt::format(
        "{}: got a use after release (or of an empty result), wanted a live one", what));
  }
  return *owned;
}

}  // namespace

DispatchResult::DispatchResult() = default;
DispatchResult::DispatchResult(DispatchHandle handle, std::unique_ptr<runtime::LandedRows> rows)
    : handle_(std::move(handle)), rows_(std::move(rows)) {}
DispatchResult::DispatchResult(DispatchResult&& other) noexcept = default;
DispatchResult& DispatchResult::operator=(DispatchResult&& other) noexcept = default;
DispatchResult::~DispatchResult() = default;

const runtime::LandedRows& DispatchResult::rows() const {
  return require(rows_, "DispatchResult");
}
TensorView DispatchResult::x() const {
  return rows().x;
}
TensorView DispatchResult::scales() const {
  return rows().scales;
}
ConstTensorView DispatchResult::topk_idx() const {
  return rows().topk_idx;
}
ConstTensorView DispatchResult::topk_weights() const {
  return rows().topk_weights;
}
ConstTensorView DispatchResult::source_rank() const {
  return rows().source_rank;
}
ConstTensorView DispatchResult::source_token() const {
  return rows().source_token;
}
const DispatchHandle& DispatchResult::handle() const {
  if (!handle_.valid()) {
    throw InvalidState("DispatchResult: got an empty result, wanted one that dispatch returned");
  }
  return handle_;
}
void DispatchResult::release() {
  rows_.reset();
}

CombineResult::CombineResult() = default;
CombineResult::CombineResult(std::unique_ptr<runtime::CombinedRows> rows)
    : rows_(std::move(rows)) {}
CombineResult::CombineResult(CombineResult&& other) noexcept = default;
CombineResult& CombineResult::operator=(CombineResult&& other) noexcept = default;
CombineResult::~CombineResult() = default;
TensorView CombineResult::out() const {
  return require(rows_, "CombineResult").out;
}
ConstTensorView CombineResult::topk_weights() const {
  return require(rows_, "CombineResult").topk_weights;
}
void CombineResult::release() {
  rows_.reset();
}

}  // namespace switchyard
