// What arrives on a proven bootstrap connection: headers and payloads, in pieces of any size.
#include <sys/socket.h>

#include <array>

#include "csrc/bootstrap/tcp_frame.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/support/socket_pair.h"

using switchyard::bootstrap::FrameReader;
using switchyard::fuzz::expect;
using switchyard::fuzz::FuzzInput;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzInput input(data, size);
  const switchyard::test::SocketPair pair;
  std::array<std::byte, 64> payload{};
  const std::size_t wanted = input.below(static_cast<std::uint32_t>(payload.size()) + 1);
  const std::uint64_t sequence = input.number<std::uint8_t>();
  const bool closes = input.flip();
  FrameReader reader(sequence, std::span(payload).first(wanted));
  FrameReader::Status status = reader.advance(pair.a.get());
  expect(status == FrameReader::Status::kPending, "nothing has arrived");
  while (!input.empty() && status == FrameReader::Status::kPending) {
    switchyard::test::send_bytes(pair.b.get(), input.bytes(1 + input.below(64)));
    status = reader.advance(pair.a.get());
  }
  if (closes && status == FrameReader::Status::kPending) {
    ::shutdown(pair.b.get(), SHUT_WR);
    status = reader.advance(pair.a.get());
    expect(status != FrameReader::Status::kPending, "a closed connection is not waited for");
  }
  expect(reader.done() == (status == FrameReader::Status::kDone), "done means the status");
  if (status == FrameReader::Status::kDone) {
    expect(reader.got_bytes() == wanted, "a frame of another length was taken");
  }
  if (status == FrameReader::Status::kFailure) {
    const std::string text = reader.failure_text();
    expect(text.size() <= switchyard::bootstrap::kMaxFailureBytes, "a text longer than believed");
    for (const char c : text) {
      expect(static_cast<unsigned char>(c) >= ' ', "a control character would reach a terminal");
    }
  }
  return 0;
}
