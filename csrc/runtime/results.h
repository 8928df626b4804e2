// What results own: regions of the heap, and the views over them.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "csrc/runtime/buffer_state.h"
#include "switchyard/combine.h"
#include "switchyard/dispatch.h"

namespace switchyard::runtime {

/// How memory is given back: with `kUnseen`, peers may write there after a failure that nobody has
/// seen yet.
enum class GiveBack : std::uint8_t { kPlain, kUnseen };

/// A region of a buffer's heap, given back on destruction.
class OwnedRegion {
 public:
  OwnedRegion(std::shared_ptr<BufferState> buffer,
              std::uint64_t offset,
              GiveBack how = GiveBack::kPlain)
      : buffer_(std::move(buffer)), offset_(offset), how_(how) {}
  OwnedRegion(const OwnedRegion&) = delete;
  OwnedRegion& operator=(const OwnedRegion&) = delete;
  ~OwnedRegion() {
    if (offset_ == protocol::kNoRegion) {
      return;
    }
    if (how_ == GiveBack::kUnseen) {
      buffer_->release_unseen(offset_);
    } else {
      buffer_->release_region(offset_);
    }
  }
  [[nodiscard]] std::byte* data() const { return buffer_->heap_at(offset_); }

 private:
  std::shared_ptr<BufferState> buffer_;
  std::uint64_t offset_;
  GiveBack how_;
};

class LandedRows {
 public:
  LandedRows(std::shared_ptr<BufferState> buffer,
             const DispatchOperation& operation,
             GiveBack how = GiveBack::kPlain);

  TensorView x;
  TensorView scales;
  ConstTensorView topk_idx;
  ConstTensorView topk_weights;
  ConstTensorView source_rank;
  ConstTensorView source_token;
  std::shared_ptr<void> alive;  ///< of an enqueued operation: gone with the result

 private:
  OwnedRegion region_;
};

class CombinedRows {
 public:
  CombinedRows(std::shared_ptr<BufferState> buffer, CombineOperation& operation);

  TensorView out;
  ConstTensorView topk_weights;
  std::shared_ptr<void> alive;  ///< as in LandedRows

 private:
  OwnedRegion region_;
  OwnedRegion copy_in_;  // of an enqueued operation; else given back by then
  std::vector<float> summed_topk_weights_;
  std::shared_ptr<const targets::DeviceBlock> device_topk_weights_;
};

}  // namespace switchyard::runtime
