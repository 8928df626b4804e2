// The part of the verifier that knows the library's result types.
#include "benchmarks/common/verifier.h"

namespace switchyard::bench {

DispatchViews views_of(const DispatchResult& result) {
  const DispatchHandle& handle = result.handle();
  return {
      .x = result.x(),
      .scales = result.scales(),
      .topk_idx = result.topk_idx(),
      .topk_weights = result.topk_weights(),
      .source_rank = result.source_rank(),
      .source_token = result.source_token(),
      .num_rows = result.num_rows(),
      .rows_from_rank = handle.rows_from_rank(),
      .rows_per_expert = handle.rows_per_expert(),
      .rows_per_expert_and_rank = handle.rows_per_expert_and_rank(),
      .expert_offsets = handle.expert_offsets(),
      .row_of_entry = handle.row_of_entry(),
      .rank_of_entry = handle.rank_of_entry(),
  };
}

VerifyReport Verifier::check_dispatch(const DispatchResult& result) const {
  return check_complete_dispatch(views_of(result));
}

VerifyReport Verifier::check_combine(const CombineResult& result) const {
  return check_combine(result.out());
}

}  // namespace switchyard::bench
