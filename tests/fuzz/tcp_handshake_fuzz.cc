// What a stranger says to either end of a bootstrap connection: it must never be taken for a rank.
#include <sys/socket.h>

#include <chrono>

#include "csrc/bootstrap/tcp_handshake.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/support/socket_pair.h"

namespace {

using switchyard::bootstrap::ClientHandshakeResult;
using switchyard::bootstrap::HandshakeKey;
using switchyard::bootstrap::ServerHandshake;
using switchyard::fuzz::expect;
using switchyard::fuzz::FuzzInput;

const HandshakeKey& key() {
  static const HandshakeKey key("a secret that the fuzzer does not know");
  return key;
}

void talk_to_server(FuzzInput& input) {
  const switchyard::test::SocketPair pair;
  ServerHandshake server;
  auto status = ServerHandshake::Status::kPending;
  while (!input.empty() && status == ServerHandshake::Status::kPending) {
    switchyard::test::send_bytes(pair.b.get(), input.bytes(1 + input.below(80)));
    status = server.advance(pair.a.get(), key());
  }
  expect(status != ServerHandshake::Status::kProven, "a stranger was taken for a rank");
  (void)server.claim();
}

void talk_to_client(FuzzInput& input) {
  const switchyard::test::SocketPair pair;
  switchyard::test::send_bytes(pair.b.get(), input.bytes(200));
  ::shutdown(pair.b.get(), SHUT_WR);
  const auto result = switchyard::bootstrap::client_handshake(
      pair.a.get(),
      key(),
      {.rank = 1, .num_ranks = 2},
      switchyard::bootstrap::Deadline(std::chrono::seconds(5)));
  expect(result != ClientHandshakeResult::kProven, "a stranger was taken for rank 0");
  expect(result != ClientHandshakeResult::kTimeout, "a closed connection was waited for");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzInput input(data, size);
  if (input.flip()) {
    talk_to_server(input);
  } else {
    talk_to_client(input);
  }
  return 0;
}
