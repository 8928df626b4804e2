// Stands for the backend where UCX was not found when the build was configured.
#include "csrc/transport/ucx/ucx.h"
#include "switchyard/error.h"

namespace switchyard::transport {

std::string why_no_ucx() {
  return "this build has no UCX: install libucx-dev and pkg-config, then configure again";
}

std::unique_ptr<Transport> make_ucx_transport(Bootstrap& /*bootstrap*/,
                                              const UcxOptions& /*options*/) {
  throw InvalidArgument("transport ucx: " + why_no_ucx());
}

}  // namespace switchyard::transport
