// How the connections of the star come to be: rank 0 sorts the ranks of its group from whoever else
// knocks at its port, the others keep trying until it is there.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "csrc/bootstrap/deadline.h"
#include "csrc/bootstrap/unique_fd.h"
#include "switchyard/bootstrap.h"

namespace switchyard::bootstrap {

/// Rank 0: a proven connection to each other rank; element i belongs to rank i + 1. A connection
/// that proves nothing costs nobody anything: all are served at once, and each has its own limit.
/// Errors: BootstrapError, which the ranks that have come are told too
std::vector<UniqueFd> accept_ranks(const TcpBootstrapOptions& options, const Deadline& deadline);

/// Rank r: a proven connection to rank 0, which may start later than this rank.
/// Errors: BootstrapError
UniqueFd connect_to_rank0(const TcpBootstrapOptions& options, const Deadline& deadline);

/// make_tcp_bootstrap with another limit for each step of meeting, the connections and the first
/// barrier, than for the gathers that follow. Messages of those steps name that limit.
/// Errors: as make_tcp_bootstrap
std::unique_ptr<Bootstrap> join_tcp_store(const TcpBootstrapOptions& options,
                                          std::chrono::milliseconds meeting_limit);

/// What make_tcp_bootstrap refuses. Errors: InvalidArgument
void check_tcp_options(const TcpBootstrapOptions& options);

}  // namespace switchyard::bootstrap
