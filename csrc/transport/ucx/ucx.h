// The backend over UCX: TCP, shared memory, InfiniBand, RoCE, whatever UCX finds on the machine.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "csrc/transport/transport.h"
#include "switchyard/bootstrap.h"

namespace switchyard::transport {

struct UcxOptions {
  /// What UCX may use, as its variable UCX_TLS says it: "tcp,self", "rc,self", "shm,self". Empty:
  /// that variable, or UCX's own choice.
  std::string transports;
  /// How often UCX asks whether an idle peer still lives. Too short costs messages; too long, and a
  /// machine that fell silent is noticed late.
  std::chrono::seconds keepalive{1};
};

/// Why this build or machine has no UCX; empty when it has.
std::string why_no_ucx();

/// Collective.
/// Errors: InvalidArgument where why_no_ucx() says so, or when UCX knows none of `transports`;
///         SystemError when it cannot open its devices
std::unique_ptr<Transport> make_ucx_transport(Bootstrap& bootstrap, const UcxOptions& options);

}  // namespace switchyard::transport
