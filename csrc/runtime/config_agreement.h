// A Config checked, with its automatic fields resolved, and agreed upon by all ranks.
#pragma once

#include "switchyard/bootstrap.h"
#include "switchyard/config.h"

namespace switchyard::runtime {

/// Called by: one thread of every rank (collective)
/// Errors:    InvalidArgument for a field out of range; ConfigMismatch naming rank, field, got and
///            wanted
Config agree_on_config(const Config& config, Bootstrap& bootstrap);

}  // namespace switchyard::runtime
