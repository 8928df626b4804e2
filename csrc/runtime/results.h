// What results own: regions of the heap, and the views over them.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "csrc/runtime/buffer_state.h"
#include "switchyard/combine.h"
#include "switchyard/dispatch.h"

namespace switchyard::runtime {

/// A region of a buffer's heap, given back on destruction.
class OwnedRegion {
 public:
  OwnedRegion(std::shared_ptr<BufferState> buffer, std::uint64_t offset)
      : buffer_(std::move(buffer)), offset_(offset) {}
  OwnedRegion(const OwnedRegion&) = delete;
  OwnedRegion& operator=(const OwnedRegion&) = delete;
  ~OwnedRegion() {
    if (offset_ != protocol::kNoRegion) {
      buffer_->release_region(offset_);
    }
  }
  [[nodiscard]] std::byte* data() const { return buffer_->heap_at(offset_); }

 private:
  std::shared_ptr<BufferState> buffer_;
  std::uint64_t offset_;
};

class LandedRows {
 public:
  LandedRows(std::shared_ptr<BufferState> buffer, const DispatchOperation& operation);

  TensorView x;
  TensorView scales;
  ConstTensorView topk_idx;
  ConstTensorView topk_weights;
  ConstTensorView source_rank;
  ConstTensorView source_token;

 private:
  OwnedRegion region_;
};

class CombinedRows {
 public:
  CombinedRows(std::shared_ptr<BufferState> buffer, CombineOperation& operation);

  TensorView out;
  ConstTensorView topk_weights;

 private:
  OwnedRegion region_;
  std::vector<float> summed_topk_weights_;
  std::shared_ptr<const targets::DeviceBlock> device_topk_weights_;
};

}  // namespace switchyard::runtime
