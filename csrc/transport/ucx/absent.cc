// Stands for the backend in builds without UCX.
#include "csrc/transport/ucx/ucx.h"
#include "switchyard/error.h"

namespace switchyard::transport {

std::string why_no_ucx() {
  return "this build has no UCX: it is for ThreadSanitizer, or SWITCHYARD_UCX is off, or "
         "libucx-dev was "
         "not found; install it, then configure again";
}

std::unique_ptr<Transport> make_ucx_transport(Bootstrap& /*bootstrap*/,
                                              const UcxOptions& /*options*/) {
  throw InvalidArgument("transport ucx: " + why_no_ucx());
}

}  // namespace switchyard::transport
