// A Config checked, with its automatic fields resolved, and agreed upon by all ranks.
#pragma once

#include "switchyard/bootstrap.h"
#include "switchyard/config.h"

namespace switchyard::runtime {

/// This rank's fields, each for itself. Errors: InvalidArgument for one out of range
void check_config(const Config& config);

/// Called by: one thread of every rank (collective), each with a config that passes check_config
/// Errors:    ConfigMismatch naming rank, field, got and wanted
Config agree_on_config(const Config& config, Bootstrap& bootstrap);

}  // namespace switchyard::runtime
