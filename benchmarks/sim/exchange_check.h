// Compares what an operation left behind with what the naive exchange says: every row exactly once
// in its place, nothing written outside the places. Throws ModelViolation with the first
// difference.
#pragma once

#include "benchmarks/sim/guarded_buffer.h"
#include "benchmarks/sim/naive_exchange.h"
#include "benchmarks/sim/world.h"

namespace switchyard::sim {

/// Caller's memory for landed rows or sums; null where the heap is used.
struct CallerMemory {
  const GuardedBuffer* rows = nullptr;
  const GuardedBuffer* scales = nullptr;
};

/// A dispatch that `rank` finished.
void check_dispatch(World& world,
                    const DispatchPlan& plan,
                    NaiveExchange& naive,
                    int dispatch,
                    const runtime::DispatchOperation& operation,
                    const CallerMemory& memory);

/// A combine that `rank` finished.
void check_combine(World& world,
                   const CombinePlan& plan,
                   NaiveExchange& naive,
                   int combine,
                   const runtime::CombineOperation& operation,
                   const CallerMemory& memory);

}  // namespace switchyard::sim
