// What the caller of one rank hands to the library for an operation of an ExchangePlan: requests,
// and the memory that they point to.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "benchmarks/sim/exchange_plan.h"
#include "benchmarks/sim/guarded_buffer.h"
#include "benchmarks/sim/naive_exchange.h"
#include "switchyard/combine.h"
#include "switchyard/dispatch.h"

namespace switchyard::sim {

struct DispatchCall {
  DispatchRequest request;
  std::vector<std::int32_t> narrow_topk;  ///< when the plan's indices are int32
  std::unique_ptr<GuardedBuffer> rows;    ///< the caller's own output, when it gives any
  std::unique_ptr<GuardedBuffer> scales;
};

/// One dispatch as `rank` asks for it. Along a handle, the request names no top-k choices.
DispatchCall make_dispatch_call(const DispatchPlan& plan,
                                NaiveExchange& naive,
                                int dispatch,
                                int rank);

struct CombineCall {
  CombineRequest request;
  std::unique_ptr<GuardedBuffer> out;
};

/// One combine as `rank` asks for it; `rows` are its expert outputs, wherever they lie.
CombineCall make_combine_call(const ExchangePlan& plan,
                              NaiveExchange& naive,
                              int combine,
                              int rank,
                              const ConstTensorView& rows);

}  // namespace switchyard::sim
