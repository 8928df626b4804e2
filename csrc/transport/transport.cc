#include "csrc/transport/transport.h"

#include "switchyard/error.h"

namespace switchyard::transport {

void throw_peer_lost(const Transport& transport, int peer) {
  throw PeerLost(peer, transport.why_lost(peer));
}

}  // namespace switchyard::transport
