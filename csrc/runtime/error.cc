#include "switchyard/error.h"

namespace switchyard {

const char* error_code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "invalid argument";
    case ErrorCode::kInvalidState:
      return "invalid state";
    case ErrorCode::kConfigMismatch:
      return "config mismatch";
    case ErrorCode::kHeapTooSmall:
      return "heap too small";
    case ErrorCode::kBootstrap:
      return "bootstrap";
    case ErrorCode::kSystem:
      return "system";
    case ErrorCode::kPeerLost:
      return "peer lost";
    case ErrorCode::kTimeout:
      return "timeout";
    case ErrorCode::kInternal:
      return "internal";
  }
  return "unknown";
}

}  // namespace switchyard
