// Sums one after the other, each begun when the next is known, since reduce_rows fetches the next
// one's rows early.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "csrc/protocol/row_math.h"
#include "csrc/targets/host/row_ops.h"

namespace switchyard::bench {

class ReduceQueue {
 public:
  /// `form` says everything but dst and terms.
  explicit ReduceQueue(const protocol::Reduction& form) : form_(form) {}

  /// Empty: the terms of the next sum go here, then call push().
  std::vector<protocol::Term>& terms() {
    terms_[current_].clear();
    return terms_[current_];
  }

  void push(std::byte* dst) {
    protocol::Reduction& reduction = reductions_[current_];
    reduction = form_;
    reduction.dst = dst;
    reduction.terms = terms_[current_].data();
    reduction.num_terms = static_cast<std::int32_t>(terms_[current_].size());
    current_ = 1 - current_;
    if (waiting_) {
      host::reduce_rows(reductions_[current_], protocol::CopyHint::kStream, &reduction);
    }
    waiting_ = true;
  }

  /// All sums are written, and are seen by whoever is told now.
  void finish() {
    if (waiting_) {
      host::reduce_rows(reductions_[1 - current_], protocol::CopyHint::kStream);
      waiting_ = false;
    }
    host::stream_fence();
  }

 private:
  protocol::Reduction form_;
  std::array<std::vector<protocol::Term>, 2> terms_;
  std::array<protocol::Reduction, 2> reductions_;
  std::size_t current_ = 0;
  bool waiting_ = false;  // the other one
};

}  // namespace switchyard::bench
