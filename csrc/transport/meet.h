// The end of a transport's use: everything posted has arrived, everywhere.
#pragma once

#include <chrono>

#include "csrc/transport/transport.h"
#include "switchyard/bootstrap.h"

namespace switchyard::transport {

/// Polls until this end is quiet and every other rank's is, too; afterwards ends may be destroyed
/// in any order. A bare barrier would not do: a rank that waits without polling holds up peers
/// whose bytes arrive inside its poll().
/// Called by:  one thread of every rank. A helper thread talks to the bootstrap meanwhile; a rank
///             whose end is gone takes part with an empty bootstrap::run_together.
/// Errors:     on every rank alike, Error{kTimeout} naming the rank that is not quiet in time
void meet_quietly(Bootstrap& bootstrap, Transport& transport, std::chrono::milliseconds timeout);

}  // namespace switchyard::transport
