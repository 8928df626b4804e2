// Which cores a rank runs on when several share a machine.
#pragma once

namespace switchyard::bench {

/// Binds the calling thread, and those it starts, to the share of the allowed cores that is rank
/// `rank`'s of `num_ranks`: a block of its own where there is a core for each rank, else one core,
/// dealt in turn. Without it the scheduler may leave three of four ranks on one of two cores for as
/// long as a whole operation takes.
/// Errors: SystemError
void bind_to_own_cores(int rank, int num_ranks);

}  // namespace switchyard::bench
