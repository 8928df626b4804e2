// Where a thread is and what time it is, and a pause. Coordinates in block and grid are CUDA's own
// (threadIdx and so on).
//
// Registers that change are volatile, so that each call reads. They carry no memory clobber: to
// time an access, order it with the reads by using its result.
#pragma once

#include <cstdint>

namespace switchyard::ptx {

/// Nanoseconds of a clock that all SMs of this GPU share; other GPUs and the host have others.
/// Moves in steps, on some GPUs of a microsecond: for deadlines and traces, not for single
/// instructions.
/// PTX:    mov.u64 time, %globaltimer;
/// Needs:  PTX ISA 3.1, sm_30+
/// Source: PTX ISA manual, "%globaltimer"
__device__ __forceinline__ std::uint64_t read_globaltimer() {
  std::uint64_t time;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(time));
  return time;
}

/// Cycles of this SM's clock. Two SMs count from different beginnings, and the clock's rate
/// changes.
/// PTX:    mov.u64 cycles, %clock64;
/// Needs:  PTX ISA 2.0, sm_20+
/// Source: PTX ISA manual, "%clock64"
__device__ __forceinline__ std::uint64_t read_clock64() {
  std::uint64_t cycles;
  asm volatile("mov.u64 %0, %%clock64;" : "=l"(cycles));
  return cycles;
}

/// The SM that the thread is on, now: a preempted block may go on elsewhere. For traces.
/// PTX:    mov.u32 sm, %smid;
/// Needs:  PTX ISA 1.3, sm_10+
/// Source: PTX ISA manual, "%smid"
__device__ __forceinline__ std::uint32_t read_smid() {
  std::uint32_t sm;
  asm volatile("mov.u32 %0, %%smid;" : "=r"(sm));
  return sm;
}

/// The thread's place in its warp. It never changes, so the compiler may read it once.
/// PTX:    mov.u32 lane, %laneid;
/// Needs:  PTX ISA 1.3, sm_10+
/// Source: PTX ISA manual, "%laneid"
__device__ __forceinline__ std::uint32_t read_laneid() {
  std::uint32_t lane;
  asm("mov.u32 %0, %%laneid;" : "=r"(lane));
  return lane;
}

/// The slot of the SM that the warp sits in, now. For traces: which warp of the block it is follows
/// from threadIdx alone.
/// PTX:    mov.u32 warp, %warpid;
/// Needs:  PTX ISA 1.3, sm_10+
/// Source: PTX ISA manual, "%warpid"
__device__ __forceinline__ std::uint32_t read_warpid() {
  std::uint32_t warp;
  asm volatile("mov.u32 %0, %%warpid;" : "=r"(warp));
  return warp;
}

/// Suspends the thread for up to twice `ns` nanoseconds, possibly for none; `ns` is at most
/// 1,000,000.
/// PTX:    nanosleep.u32 ns;
/// Needs:  PTX ISA 6.3, sm_70+
/// Source: PTX ISA manual, "nanosleep"
__device__ __forceinline__ void sleep_ns(std::uint32_t ns) {
  asm volatile("nanosleep.u32 %0;" : : "r"(ns));
}

}  // namespace switchyard::ptx
