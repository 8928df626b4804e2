// Where the tensors of a buffer lie, for benchmarks and tests that run on every target: in the
// host's memory, where they read and write them in place, or on a device, between which and the
// host copies are made.
#pragma once

#include <functional>

#include "switchyard/tensor.h"

namespace switchyard::bench {

/// The host's memory; what lies elsewhere overrides all of it.
class TensorMemory {
 public:
  TensorMemory() = default;
  TensorMemory(const TensorMemory&) = delete;
  TensorMemory& operator=(const TensorMemory&) = delete;
  virtual ~TensorMemory() = default;

  /// A tensor of the caller with the same contents, shape and strides where the buffer can use it.
  /// Lifetime: that of this object
  virtual TensorView given(const ConstTensorView& view) {
    TensorView same;
    same.data = const_cast<void*>(view.data);
    same.dtype = view.dtype;
    same.ndim = view.ndim;
    same.shape = view.shape;
    same.strides = view.strides;
    return same;
  }
  /// A tensor of the buffer where the caller can read it, as it is now. Lifetime: as given
  virtual ConstTensorView seen(const ConstTensorView& view) { return view; }
  /// Copies what the buffer wrote into a tensor that was given, back to the caller's.
  virtual void take_back(const ConstTensorView& /*given*/, const TensorView& /*to*/) {}
  /// Has the caller write to a tensor of the buffer.
  virtual void edit(const TensorView& view, const std::function<void(const TensorView&)>& write) {
    write(view);
  }
};

}  // namespace switchyard::bench
