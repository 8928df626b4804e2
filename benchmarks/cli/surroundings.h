// Who started this process, as far as its environment says.
#pragma once

#include <optional>

#include "csrc/bootstrap/launched_rank.h"

namespace switchyard::bench {

struct Surroundings {
  /// Set when a launcher started this process as one of its ranks.
  std::optional<bootstrap::LaunchedRank> launched{};
};

/// Errors: InvalidArgument when a launcher's variables are set to something that is no number
Surroundings read_surroundings();

}  // namespace switchyard::bench
