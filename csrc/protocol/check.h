// The check of an invariant of this library, on in every build. A caller's mistake is not an
// invariant: those throw InvalidArgument or InvalidState with names and values.
#pragma once

#include "csrc/protocol/host_device.h"
#include "switchyard/error.h"

#if !defined(__CUDA_ARCH__)
#include <string>
#endif

namespace switchyard::protocol {

/// Reports a broken invariant. On the host it throws Error{kInternal}; a GPU has nobody to catch it
/// and traps.
[[noreturn]] SY_HOST_DEVICE inline void check_failed(const char* condition,
                                                     const char* message,
                                                     const char* file,
                                                     int line) {
#if defined(__CUDA_ARCH__)
  (void)condition, (void)message, (void)file, (void)line;
  __trap();
#else
  throw Error(ErrorCode::kInternal,
              std::string("broken invariant: ") + message + " (" + condition + " is false at " +
                  file + ":" + std::to_string(line) +
                  "); this is a defect of Switchyard, please report it");
#endif
}

}  // namespace switchyard::protocol

/// Throws (host) or traps (device) unless `condition` holds; `message` says which invariant broke.
#define SY_CHECK(condition, message)                                                   \
  do {                                                                                 \
    if (!(condition)) {                                                                \
      ::switchyard::protocol::check_failed(#condition, (message), __FILE__, __LINE__); \
    }                                                                                  \
  } while (false)
