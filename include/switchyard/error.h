// Every exception that Switchyard throws. Each message says what was wrong, what was got, what was
// wanted and what to do; the typed fields carry the same facts for programs.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace switchyard {

enum class ErrorCode : std::uint8_t {
  kInvalidArgument,  ///< the caller's mistake in a value: shape, dtype, stride, alignment, index
  kInvalidState,     ///< the caller's mistake in the order of calls: released handle, too many
                     ///< operations in flight
  kConfigMismatch,   ///< ranks disagree on the configuration or on the operation
  kHeapTooSmall,     ///< a symmetric heap cannot hold what the operation needs
  kBootstrap,        ///< rendezvous failed: port in use, wrong secret, a rank that never came
  kSystem,           ///< the operating system refused (shared memory full, mmap, threads)
  kPeerLost,         ///< a peer process died
  kTimeout,          ///< a peer is alive but made no progress before the deadline
  kInternal,         ///< a broken invariant of this library
};

const char* error_code_name(ErrorCode code);

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  [[nodiscard]] ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

class InvalidArgument : public Error {
 public:
  explicit InvalidArgument(const std::string& message)
      : Error(ErrorCode::kInvalidArgument, message) {}
};

class InvalidState : public Error {
 public:
  explicit InvalidState(const std::string& message) : Error(ErrorCode::kInvalidState, message) {}
};

/// Ranks disagree; `rank()` is the first rank found to differ from this one.
class ConfigMismatch : public Error {
 public:
  ConfigMismatch(int rank, const std::string& message)
      : Error(ErrorCode::kConfigMismatch, message), rank_(rank) {}
  [[nodiscard]] int rank() const noexcept { return rank_; }

 private:
  int rank_;
};

/// The heap of `rank()` cannot hold the operation, which ends on every rank with this error; the
/// group stays usable.
class HeapTooSmall : public Error {
 public:
  HeapTooSmall(int rank,
               std::uint64_t needed_bytes,
               std::uint64_t free_bytes,
               const std::string& message)
      : Error(ErrorCode::kHeapTooSmall, message),
        rank_(rank),
        needed_bytes_(needed_bytes),
        free_bytes_(free_bytes) {}
  [[nodiscard]] int rank() const noexcept { return rank_; }
  [[nodiscard]] std::uint64_t needed_bytes() const noexcept { return needed_bytes_; }
  /// Largest block that was free when the operation asked.
  [[nodiscard]] std::uint64_t free_bytes() const noexcept { return free_bytes_; }

 private:
  int rank_;
  std::uint64_t needed_bytes_;
  std::uint64_t free_bytes_;
};

class BootstrapError : public Error {
 public:
  explicit BootstrapError(const std::string& message) : Error(ErrorCode::kBootstrap, message) {}
};

/// The operating system refused; `system_errno()` is its errno.
class SystemError : public Error {
 public:
  SystemError(int system_errno, const std::string& message)
      : Error(ErrorCode::kSystem, message), system_errno_(system_errno) {}
  [[nodiscard]] int system_errno() const noexcept { return system_errno_; }

 private:
  int system_errno_;
};

/// A peer process died; `rank()` names it. The group must be rebuilt without it.
class PeerLost : public Error {
 public:
  PeerLost(int rank, const std::string& message)
      : Error(ErrorCode::kPeerLost, message), rank_(rank) {}
  [[nodiscard]] int rank() const noexcept { return rank_; }

 private:
  int rank_;
};

/// No progress before the deadline; `rank()` is the peer that was waited for.
class Timeout : public Error {
 public:
  Timeout(int rank, const std::string& message)
      : Error(ErrorCode::kTimeout, message), rank_(rank) {}
  [[nodiscard]] int rank() const noexcept { return rank_; }

 private:
  int rank_;
};

}  // namespace switchyard
