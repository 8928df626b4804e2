// The arithmetic of one sum, for the elements that one lane holds: the contract's order and
// roundings (csrc/protocol/row_math.h). Products and sums are never fused.
#pragma once

#include "csrc/protocol/row_math.h"

namespace switchyard::cuda {

/// kVectors vectors of 16 bytes per lane. Only sums by node hold the sums of nodes in registers.
template <class Wire, int kVectors, bool kByNode>
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
        if constexpr (kByNode) {
          node_[vector][i] = 0.0F;
        }
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

  /// Ends a row; the last one of a group rounds the group's sum to the wire type and adds it: to the
  /// total or, by node, to the node's sum, which goes the same way behind the node's last row.
  __device__ void close_row(const protocol::Term& term) {
    group_open_ = !term.closes_group;
    if (!term.closes_group) {
      return;
    }
    if constexpr (!kByNode) {
      add_rounded(group_, total_);
    } else {
      add_rounded(group_, node_);
      if (term.closes_node) {
        close_node();
      }
    }
  }

  __device__ uint4 result(int vector) const {
    return Wire::store(total_[vector]);
  }

 private:
  using Sums = float[kVectors][kElems];

  static __device__ void add_rounded(const Sums& sums, Sums& to) {
#pragma unroll
    for (int vector = 0; vector < kVectors; ++vector) {
      float rounded[kElems];
      Wire::load(Wire::store(sums[vector]), rounded);
#pragma unroll
      for (int i = 0; i < kElems; ++i) {
        to[vector][i] = __fadd_rn(to[vector][i], rounded[i]);
      }
    }
  }

  __device__ void close_node() {
    add_rounded(node_, total_);
#pragma unroll
    for (int vector = 0; vector < kVectors; ++vector) {
#pragma unroll
      for (int i = 0; i < kElems; ++i) {
        node_[vector][i] = 0.0F;
      }
    }
  }

  Sums total_;
  Sums group_;
  Sums node_;  // by node only
  bool group_open_ = false;
};

}  // namespace switchyard::cuda
