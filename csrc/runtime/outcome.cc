#include "csrc/runtime/outcome.h"

#include <fmt/format.h>

#include <string>

#include "switchyard/error.h"

namespace switchyard::runtime {
namespace {

using protocol::Failure;
using protocol::FailureKind;

std::string fault_text(const targets::Fault& fault, int rank) {
  const char* reporter_is_here = fault.reporter == rank ? " (this rank)" : "";
  if (fault.wait.kind == protocol::WaitKind::kNothing && fault.wait.peer >= 0) {
    return fmt::format("rank {}{}, operation {}: what rank {} sent arrived damaged, or cannot be",
                       fault.reporter,
                       reporter_is_here,
                       fault.epoch,
                       fault.wait.peer);
  }
  if (fault.wait.kind == protocol::WaitKind::kNothing) {
    return fmt::format("rank {}{}, {}, operation {}",
                       fault.reporter,
                       reporter_is_here,
                       protocol::role_name(fault.role),
                       fault.epoch);
  }
  // Nothing is known of the words where another rank's wait was followed to its cause.
  const std::string words =
      fault.wait.expected == 0
          ? ""
          : fmt::format(" (wanted word {:#x}, saw {:#x})", fault.wait.expected, fault.wait.seen);
  return fmt::format("rank {}{}, {} of channel {}, operation {}: waited for {} from rank {}{}",
                     fault.reporter,
                     reporter_is_here,
                     protocol::role_name(fault.role),
                     fault.wait.channel,
                     fault.epoch,
                     protocol::wait_name(fault.wait.kind),
                     fault.wait.peer,
                     words);
}

std::string mismatch_text(const Operation& operation,
                          const std::optional<Descriptor>& theirs,
                          int peer) {
  if (!theirs) {
    return fmt::format("rank {} issued another operation", peer);
  }
  return operation.descriptor.differences(*theirs, peer);
}

[[noreturn]] void throw_no_room(const Operation& operation, const Config& config) {
  const Failure& failure = operation.failure;
  throw HeapTooSmall(
      failure.rank,
      failure.needed,
      failure.available,
      fmt::format(
          "{}: the heap of rank {} has no room: needed {} bytes in one region, largest free {} "
          "bytes; release earlier results there, or raise Config::heap_bytes (now {}) on every "
          "rank "
          "by at least {}{}",
          operation.name(),
          failure.rank,
          failure.needed,
          failure.available,
          config.heap_bytes,
          failure.needed - failure.available,
          config.target == Target::kHost ? ""
                                         : "; where more rows came than were set aside, name them "
                                           "by DispatchRequest::max_rows"));
}

}  // namespace

void throw_fault(const targets::Fault& fault, int rank, std::chrono::milliseconds timeout) {
  const std::string where = fault_text(fault, rank);
  switch (fault.cause) {
    case ErrorCode::kPeerLost:
      throw PeerLost(fault.wait.peer,
                     fmt::format("rank {} died: {}; regroup() lets the others go on without it",
                                 fault.wait.peer,
                                 where));
    case ErrorCode::kTimeout:
      throw Timeout(
          fault.wait.peer,
          fmt::format("rank {} made no progress for {} ms: {}; look there first, or raise "
                      "Config::timeout if it is only slow",
                      fault.wait.peer,
                      timeout.count(),
                      where));
    default:
      throw Error(ErrorCode::kInternal, fmt::format("rank {} failed: {}", fault.reporter, where));
  }
}

bool is_corrupt(const Operation& operation) {
  return targets::is_corrupt(operation.flags, operation.failure);
}

targets::Fault corruption_fault(const Operation& operation, int rank) {
  return targets::corruption_fault(operation.flags, operation.failure, rank, operation.epoch);
}

void throw_failure(const Operation& operation,
                   const std::optional<Descriptor>& theirs,
                   const Config& config) {
  const Failure& failure = operation.failure;
  if (operation.flags.corrupt != 0) {
    const auto source = static_cast<int>(operation.flags.corrupt - 1);
    throw Error(
        ErrorCode::kInternal,
        fmt::format("{}: what rank {} said of its rows arrived damaged: metadata that does not "
                    "add up to its check, or rows for another landing than that of "
                    "operation {}",
                    operation.name(),
                    source,
                    operation.epoch));
  }
  switch (failure.kind) {
    case FailureKind::kMismatch:
      throw ConfigMismatch(failure.rank,
                           fmt::format("{}: ranks disagree on operation {}: {}; nothing was moved, "
                                       "every rank must issue the "
                                       "same sequence of operations",
                                       operation.name(),
                                       operation.epoch,
                                       mismatch_text(operation, theirs, failure.rank)));
    case FailureKind::kHeapTooSmall:
      throw_no_room(operation, config);
    case FailureKind::kOutputTooSmall:
      throw InvalidArgument(fmt::format(
          "out_x or out_scales of rank {}: got {} rows, wanted at least {}; nothing was moved",
          failure.rank,
          failure.available,
          failure.needed));
    case FailureKind::kDamaged:
      throw Error(ErrorCode::kInternal,
                  fmt::format("{}: a message of rank {} arrived damaged: got check {:#x}, wanted "
                              "{:#x}, which its content makes; nothing was done with it",
                              operation.name(),
                              failure.rank,
                              failure.available,
                              failure.needed));
    default:
      throw Error(ErrorCode::kInternal,
                  fmt::format("{}: rank {} sent counts or offsets that cannot be ({}, {})",
                              operation.name(),
                              failure.rank,
                              failure.needed,
                              failure.available));
  }
}

}  // namespace switchyard::runtime
