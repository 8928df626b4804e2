// Turns what went wrong with an operation into the exception that its caller sees.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "csrc/runtime/operation.h"
#include "csrc/targets/fault.h"

namespace switchyard::runtime {

/// The group failed: PeerLost, Timeout or an internal error, with rank, role, channel and step.
[[noreturn]] void throw_fault(const targets::Fault& fault,
                              int rank,
                              std::chrono::milliseconds timeout);

/// Whether the operation failed on what a peer sent, which no other rank can know of.
bool is_corrupt(const Operation& operation);
/// That, as a fault of the group.
targets::Fault corruption_fault(const Operation& operation, int rank);

/// The operation failed on every rank alike; the group stays usable. `theirs` is what the rank
/// issued that the failure names, where it is known.
[[noreturn]] void throw_failure(const Operation& operation,
                                const std::optional<Descriptor>& theirs,
                                const Config& config);

}  // namespace switchyard::runtime
