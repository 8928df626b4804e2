#include "benchmarks/common/core_binding.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "switchyard/error.h"

namespace switchyard::bench {
namespace {

[[noreturn]] void refuse(const char* what) {
  const int cause = errno;
  throw SystemError(cause, fmt::format("{}: {}", what, std::strerror(cause)));
}

std::vector<int> allowed_core_ids() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (::sched_getaffinity(0, sizeof(allowed), &allowed) != 0) {
    refuse("cannot ask which cores are allowed");
  }
  std::vector<int> ids;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(static_cast<std::size_t>(core), &allowed)) {
      ids.push_back(core);
    }
  }
  return ids;
}

}  // namespace

void bind_to_own_cores(int rank, int num_ranks) {
  const std::vector<int> cores = allowed_core_ids();
  const auto num_cores = static_cast<int>(cores.size());
  const int share = std::max(num_cores / num_ranks, 1);
  cpu_set_t own;
  CPU_ZERO(&own);
  for (int i = 0; i < share; ++i) {
    const int index = (rank * share + i) % num_cores;
    CPU_SET(static_cast<std::size_t>(cores[static_cast<std::size_t>(index)]), &own);
  }
  if (::sched_setaffinity(0, sizeof(own), &own) != 0) {
    refuse("cannot bind a rank to its cores");
  }
}

}  // namespace switchyard::bench
