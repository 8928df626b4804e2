// The backend for ranks that are threads of one process: a put is a copy, a signal a release store.
// For tests, virtual ranks, and as the yardstick of what a proxy costs.
#pragma once

#include <memory>

#include "csrc/transport/transport.h"
#include "switchyard/bootstrap.h"

namespace switchyard::transport {

/// Collective. Errors: InvalidArgument unless all ranks are threads of one process
std::unique_ptr<Transport> make_inproc_transport(Bootstrap& bootstrap);

}  // namespace switchyard::transport
