// The backend over libibverbs: InfiniBand and RoCE, reliable connections, the fast path.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "csrc/transport/transport.h"
#include "switchyard/bootstrap.h"

namespace switchyard::transport {

struct VerbsOptions {
  /// "mlx5_0"; empty: the first with an active port.
  std::string device;
  int port = 0;  ///< 0: the first active one
  /// Index in the port's GID table; -1: chosen (gid_choice.h).
  int gid_index = -1;
  int service_level = 0;  ///< 0 to 15, as the fabric's administrator maps it
  int traffic_class = 0;  ///< RoCE: the IP header's, 0 to 255
  int mtu = 0;            ///< of the path, bytes: 256 to 4096; 0: the port's
  /// Connections to each peer; tracks take them in turn. Too few: one connection's message rate
  /// limits; too many: the NIC's cache of connections overflows.
  int queues_per_peer = 2;
  /// Whom this rank exchanges with; empty: everyone. Mutual. Connections cost memory, so a rank of
  /// a large group names its rail.
  std::vector<int> peers;
};

/// Why this build or machine cannot run it with these options; empty when it can.
std::string why_no_verbs(const VerbsOptions& options);

/// Collective.
/// Errors: InvalidArgument where why_no_verbs() says so, or for options out of range; SystemError
/// when
///         the device refuses
std::unique_ptr<Transport> make_verbs_transport(Bootstrap& bootstrap, const VerbsOptions& options);

}  // namespace switchyard::transport
