// How the ranks of a group find each other before there is any shared memory: one collective,
// all_gather, over three carriers. Rendezvous only; no token ever travels here.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace switchyard {

/// Default limit of every step of the rendezvous.
inline constexpr std::chrono::milliseconds kDefaultBootstrapTimeout{60'000};

/// A collective channel among the ranks of one group. One thread per rank calls it.
class Bootstrap {
 public:
  Bootstrap() = default;
  Bootstrap(const Bootstrap&) = delete;
  Bootstrap& operator=(const Bootstrap&) = delete;
  virtual ~Bootstrap() = default;

  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int num_ranks() const = 0;

  /// Gathers `mine` of every rank into `all`, in rank order.
  /// Called by:  one thread of every rank, the same sequence of calls on each
  /// Shapes:     mine [n] bytes, the same n on every rank (checked); all [num_ranks * n] bytes
  /// Errors:     BootstrapError naming the rank that is missing, left, or sent another length.
  ///             Every rank gets it, and it ends the group: later calls throw it again.
  virtual void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) = 0;

  /// Returns when every rank has called it.
  void barrier();
};

/// Where the TCP store listens and what proves membership.
struct TcpBootstrapOptions {
  int rank = -1;
  int num_ranks = 0;
  std::string host = "127.0.0.1";  ///< address of rank 0, as the others reach it
  std::uint16_t port = 0;          ///< rank 0 listens here; 0 only where `listener_fd` is given
  /// At least 8 bytes that all ranks know and nobody else does. Never sent: each side proves it by
  /// a keyed hash of fresh random challenges before anything else from the connection is parsed.
  std::string secret;
  /// Rank 0 only: an already bound and listening socket (the launcher picked a free port), which
  /// the bootstrap takes over and closes; -1 for none.
  int listener_fd = -1;
  /// Longest wait for the group to be complete, and for each gather.
  std::chrono::milliseconds timeout = kDefaultBootstrapTimeout;
};

/// Connects to (rank 0: serves) the TCP store; returns when every rank has joined.
/// Called by:  one thread of every rank
/// Errors:     InvalidArgument for a bad rank, size, port or secret; BootstrapError when the port
///             is in use, the secret is wrong, two ranks claim one number, or a rank does not come
///             within `timeout`. Strangers at the port, and ranks with a wrong secret, disturb
///             nobody else.
std::unique_ptr<Bootstrap> make_tcp_bootstrap(const TcpBootstrapOptions& options);

/// The same, from the environment. Rank and size are those that torchrun, mpirun (Open MPI),
/// mpiexec (MPICH, Intel MPI) or srun (Slurm) sets: RANK and WORLD_SIZE, or the launcher's own.
/// MASTER_ADDR is where rank 0 is; without it this machine, if the launcher says that all ranks are
/// here. SWITCHYARD_PORT is the port, without it MASTER_PORT + 1, since torchrun itself holds
/// MASTER_PORT. SWITCHYARD_SECRET is required.
/// Errors:     InvalidArgument naming the variable that is missing or malformed, with its value
TcpBootstrapOptions tcp_options_from_env();

/// Bootstraps for `num_ranks` ranks that are threads of this process; element i belongs to rank i.
/// Errors:     InvalidArgument for a bad size
std::vector<std::unique_ptr<Bootstrap>> make_in_process_bootstraps(
    int num_ranks, std::chrono::milliseconds timeout = kDefaultBootstrapTimeout);

/// The caller's own all-gather (MPI_Allgather, torch.distributed, ...): the contract of
/// Bootstrap::all_gather, except that it is only called with equal lengths, and never with none.
using AllGatherFn = std::function<void(std::span<const std::byte> mine, std::span<std::byte> all)>;

/// Errors:     InvalidArgument for a bad rank or size or an empty function. What `all_gather`
///             throws passes through.
std::unique_ptr<Bootstrap> make_callback_bootstrap(int rank, int num_ranks, AllGatherFn all_gather);

}  // namespace switchyard
