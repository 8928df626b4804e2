// The arithmetic of one sum, for the elements that one lane holds: the contract's order and
// roundings (csrc/protocol/row_math.h). Products and sums are never fused.
#pragma once

namespace switchyard::cuda {

/// kVectors vectors of 16 bytes per lane.
template <class Wire, int kVectors>
class RowSum {
 public:
  static constexpr int kElems = Wire::kElems;

  __device__ void begin() {
#pragma unroll
    for (int vector = 0; vector < kVectors; ++vector) {
#pragma unroll
      for (int i = 0; i < kElems; ++i) {
        total_[vector][i] = 0.0F;
        group_[vector][i] = 0.0F;
      }
    }
    group_open_ = false;
  }

  __device__ void add_bias(int vector, const uint4& wire) {
    float values[kElems];
    Wire::load(wire, values);
#pragma unroll
    for (int i = 0; i < kElems; ++i) {
      total_[vector][i] = __fadd_rn(total_[vector][i], values[i]);
    }
  }

  /// Adds one row's vector to its group. Every vector of a row before close_row().
  __device__ void add_row(int vector, const uint4& wire, float weight) {
    float values[kElems];
    Wire::load(wire, values);
#pragma unroll
    for (int i = 0; i < kElems; ++i) {
      const float product = __fmul_rn(weight, values[i]);
      group_[vector][i] = group_open_ ? __fadd_rn(group_[vector][i], product) : product;
    }
  }

  /// Ends a row; the last one of a group rounds the group's sum to the wire type and adds it.
  __device__ void close_row(bool closes_group) {
    group_open_ = !closes_group;
    if (!closes_group) {
      return;
    }
#pragma unroll
    for (int vector = 0; vector < kVectors; ++vector) {
      float rounded[kElems];
      Wire::load(Wire::store(group_[vector]), rounded);
#pragma unroll
      for (int i = 0; i < kElems; ++i) {
        total_[vector][i] = __fadd_rn(total_[vector][i], rounded[i]);
      }
    }
  }

  __device__ uint4 result(int vector) const {
    return Wire::store(total_[vector]);
  }

 private:
  float total_[kVectors][kElems];
  float group_[kVectors][kElems];
  bool group_open_ = false;
};

}  // namespace switchyard::cuda
