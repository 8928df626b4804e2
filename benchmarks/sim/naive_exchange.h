// What an ExchangePlan must give, found without any code of the library: landings by looking at
// every token of every source in order, sums one number at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "benchmarks/sim/exchange_plan.h"

namespace switchyard::sim {

struct NaiveRow {
  std::int64_t row = 0;
  int source = 0;
  int token = 0;
  int slot = 0;                        ///< first entry of the token that needs this row
  std::vector<std::int64_t> topk_idx;  ///< local experts, -1 elsewhere
  std::vector<float> topk_weights;     ///< 0 where topk_idx is -1
};

/// One rank as the destination of one dispatch.
struct NaiveLanding {
  std::vector<NaiveRow> rows;
  std::int64_t num_rows = 0;  ///< with padding
  std::vector<std::int64_t> expert_offsets;
  std::vector<std::int32_t> rows_from_rank;
  std::vector<std::int32_t> rows_per_expert;
  std::vector<bool> is_alignment;  ///< [num_rows] behind the rows of an expert

  [[nodiscard]] std::int64_t row_of(int source, int token, int local_expert) const {
    return index.at({source, token, local_expert});
  }
  std::map<std::tuple<int, int, int>, std::int64_t> index;
};

NaiveLanding land(const DispatchPlan& plan, int rank);

/// What one rank brings into a combine, as the holder of rows and as the owner of tokens.
struct CombineData {
  std::vector<std::byte> rows;          ///< [num_rows][hidden]
  std::vector<float> row_weights;       ///< [num_rows]
  std::vector<float> row_topk_weights;  ///< [num_rows][entries]
  std::vector<float> topk_weights;      ///< [num_tokens][topk]
  std::vector<std::byte> biases[2];     ///< [num_tokens][hidden]
};

/// Landings and sums of a plan, computed when asked for.
class NaiveExchange {
 public:
  explicit NaiveExchange(const ExchangePlan& plan) : plan_(plan) {}

  const NaiveLanding& landing(int dispatch, int rank);
  const CombineData& data(int combine, int rank);
  /// Sums [num_tokens][hidden] of `rank`.
  std::vector<std::byte> sums(int combine, int rank);
  /// Summed top-k weights [num_tokens][topk] of `rank`.
  std::vector<float> topk_weight_sums(int combine, int rank);

 private:
  struct Contribution {
    int rank;
    std::int64_t row;
    float weight;
    bool closes_group;
    bool closes_node;
  };

  [[nodiscard]] const DispatchPlan& dispatch_of(const CombinePlan& combine) const {
    return plan_.dispatches[static_cast<std::size_t>(combine.dispatch)];
  }
  std::vector<Contribution> contributions(int combine, int rank, int token);

  const ExchangePlan& plan_;
  std::map<std::pair<int, int>, NaiveLanding> landings_;
  std::map<std::pair<int, int>, CombineData> data_;
};

}  // namespace switchyard::sim
