// Hands a file descriptor of every rank to every other rank of this machine. What lies behind it
// (GPU memory, in practice) is the caller's business.
#pragma once

#include <string>
#include <vector>

#include "csrc/bootstrap/unique_fd.h"
#include "csrc/memory/process_identity.h"
#include "switchyard/bootstrap.h"

namespace switchyard::memory {

struct ExchangedDescriptors {
  std::vector<bootstrap::UniqueFd> of_rank;  ///< closed on exec; none for this rank itself
  const char* way = "";                      ///< how they came, for people
};

/// Gives every rank a descriptor of the same open file as each other rank's `mine`: taken out of
/// the peer's table of descriptors where the system allows it, else sent over a socket. Called by:
/// one thread of every rank, on one machine; `mine` stays the caller's and open Shapes: processes
/// [num_ranks] Errors:     SystemError, the same on every rank, that tells why neither way is open
/// and what
///             would open one
ExchangedDescriptors exchange_descriptors(Bootstrap& bootstrap,
                                          int mine,
                                          const std::vector<ProcessIdentity>& processes);

/// The first way alone, for one peer: what process `owner` has as descriptor `fd`. Errors:
/// SystemError
bootstrap::UniqueFd take_descriptor(const ProcessIdentity& owner, int fd);

}  // namespace switchyard::memory
