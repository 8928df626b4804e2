// The names of the backends.
#pragma once

#include <cstdint>
#include <string_view>

namespace switchyard::transport {

enum class TransportKind : std::uint8_t {
  kAuto,    ///< the best that works on every rank
  kInproc,  ///< ranks are threads of one process
  kUcx,     ///< TCP, shared memory, InfiniBand, RoCE: whatever UCX finds
  kVerbs,   ///< InfiniBand and RoCE, straight through libibverbs
};

/// "auto", "inproc", "ucx", "verbs".
const char* transport_kind_name(TransportKind kind);

/// Errors: InvalidArgument listing the names, for any other
TransportKind parse_transport_kind(std::string_view name);

}  // namespace switchyard::transport
