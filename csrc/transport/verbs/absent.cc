// Stands for the backend in builds without libibverbs.
#include "csrc/transport/verbs/verbs.h"
#include "switchyard/error.h"

namespace switchyard::transport {

std::string why_no_verbs(const VerbsOptions& /*options*/) {
  return "this build has no verbs: SWITCHYARD_VERBS is off, or libibverbs-dev was not found; "
         "install "
         "it, then configure again";
}

std::unique_ptr<Transport> make_verbs_transport(Bootstrap& /*bootstrap*/,
                                                const VerbsOptions& options) {
  throw InvalidArgument("transport verbs: " + why_no_verbs(options));
}

}  // namespace switchyard::transport
