// Compares what an operation left behind with what the naive exchange says: every row exactly once
// in its place, nothing written outside the places. Throws ModelViolation with the first
// difference.
#pragma once

#include "tests/support/guarded_buffer.h"
#include "tests/support/naive_exchange.h"
#include "tests/support/protocol_world.h"

namespace switchyard::test {

/// Caller's memory for landed rows or sums; null where the heap is used.
struct CallerMemory {
  const GuardedBuffer* rows = nullptr;
  const GuardedBuffer* scales = nullptr;
};

/// A dispatch that `rank` finished.
void check_dispatch(ProtocolWorld& world,
                    const DispatchPlan& plan,
                    NaiveExchange& naive,
                    int dispatch,
                    const runtime::DispatchOperation& operation,
                    const CallerMemory& memory);

/// A combine that `rank` finished.
void check_combine(ProtocolWorld& world,
                   const CombinePlan& plan,
                   NaiveExchange& naive,
                   int combine,
                   const runtime::CombineOperation& operation,
                   const CallerMemory& memory);

}  // namespace switchyard::test
