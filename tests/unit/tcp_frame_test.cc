#include "csrc/bootstrap/tcp_frame.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/socket_pair.h"

namespace switchyard::bootstrap {
namespace {

using Bytes = std::vector<std::byte>;
using Status = FrameReader::Status;

std::span<const std::byte> bytes_of(const FrameHeader& header) {
  return std::as_bytes(std::span(&header, 1));
}

TEST(TcpFrame, ArrivesWholeWhenItIsTheFrameThatMustCome) {
  test::SocketPair pair;
  const Bytes sent{std::byte{1}, std::byte{2}, std::byte{3}};
  EXPECT_EQ(FrameWriter({.sequence = 7}, sent).advance(pair.a.get()), IoStatus::kDone);
  Bytes received(3);
  FrameReader reader(7, received);
  EXPECT_EQ(reader.advance(pair.b.get()), Status::kDone);
  EXPECT_EQ(received, sent);
}

TEST(TcpFrame, GoesOnWhereItStoppedWhenBytesComeOneByOne) {
  test::SocketPair pair;
  const FrameHeader header{.sequence = 1, .bytes = 4};
  Bytes stream(bytes_of(header).begin(), bytes_of(header).end());
  stream.insert(stream.end(), 4, std::byte{9});
  Bytes received(4);
  FrameReader reader(1, received);
  for (const std::byte byte : stream) {
    EXPECT_EQ(reader.advance(pair.b.get()), Status::kPending);
    test::send_bytes(pair.a.get(), std::span(&byte, 1));
  }
  EXPECT_EQ(reader.advance(pair.b.get()), Status::kDone);
  EXPECT_EQ(received, Bytes(4, std::byte{9}));
}

TEST(TcpFrame, IsSentInPiecesWhenItExceedsTheSocketsBuffer) {
  test::SocketPair pair;
  const Bytes sent(8 << 20, std::byte{5});
  Bytes received(sent.size());
  FrameWriter writer({.sequence = 0}, sent);
  FrameReader reader(0, received);
  EXPECT_EQ(writer.advance(pair.a.get()), IoStatus::kBlocked);
  while (!reader.done()) {
    ASSERT_NE(reader.advance(pair.b.get()), Status::kClosed);
    ASSERT_NE(writer.advance(pair.a.get()), IoStatus::kClosed);
  }
  EXPECT_EQ(received, sent);
}

TEST(TcpFrame, IsRefusedBeforeItsPayloadWhenItsLengthIsNotTheExpected) {
  for (const std::uint64_t bytes : {std::uint64_t{7}, std::uint64_t{9}, ~std::uint64_t{0}}) {
    test::SocketPair pair;
    test::send_bytes(pair.a.get(), bytes_of({.sequence = 0, .bytes = bytes}));
    test::send_bytes(pair.a.get(), Bytes(7, std::byte{0xff}));
    Bytes received(8);
    FrameReader reader(0, received);
    EXPECT_EQ(reader.advance(pair.b.get()), Status::kWrongLength);
    EXPECT_EQ(reader.got_bytes(), bytes);
    EXPECT_EQ(received, Bytes(8));
  }
}

TEST(TcpFrame, IsRefusedWhenItIsOutOfSequenceOrOfNoKnownKind) {
  const FrameHeader wrong[] = {{.sequence = 4, .bytes = 0},
                               {.sequence = 6, .bytes = 0},
                               {.kind = static_cast<FrameKind>(3), .sequence = 5, .bytes = 0},
                               {.kind = static_cast<FrameKind>(0), .sequence = 5, .bytes = 0}};
  for (const FrameHeader& header : wrong) {
    test::SocketPair pair;
    test::send_bytes(pair.a.get(), bytes_of(header));
    FrameReader reader(5, {});
    EXPECT_EQ(reader.advance(pair.b.get()), Status::kOutOfOrder);
  }
}

TEST(TcpFrame, BringsTheTextWithoutControlCharactersWhenTheGroupHasEnded) {
  test::SocketPair pair;
  send_failure(pair.a.get(), "rank 3\nhas left");
  Bytes received(8);
  FrameReader reader(2, received);
  EXPECT_EQ(reader.advance(pair.b.get()), Status::kFailure);
  EXPECT_EQ(reader.failure_text(), "rank 3 has left");
}

TEST(TcpFrame, CutsTheTextOfAFailureWhenItIsTooLong) {
  test::SocketPair pair;
  send_failure(pair.a.get(), std::string(5000, 'x'));
  FrameReader reader(0, {});
  EXPECT_EQ(reader.advance(pair.b.get()), Status::kFailure);
  EXPECT_EQ(reader.failure_text(), std::string(kMaxFailureBytes, 'x'));
}

TEST(TcpFrame, IsRefusedWhenAPeerAnnouncesAnEndlessFailure) {
  test::SocketPair pair;
  test::send_bytes(pair.a.get(),
                   bytes_of({.kind = FrameKind::kFailure, .bytes = kMaxFailureBytes + 1}));
  FrameReader reader(0, {});
  EXPECT_EQ(reader.advance(pair.b.get()), Status::kOutOfOrder);
}

TEST(TcpFrame, EndsWhenTheOtherSideCloses) {
  test::SocketPair pair;
  test::send_bytes(pair.a.get(), bytes_of({.sequence = 0, .bytes = 8}));
  pair.a.reset();
  Bytes received(8);
  FrameReader reader(0, received);
  EXPECT_EQ(reader.advance(pair.b.get()), Status::kClosed);
  EXPECT_EQ(FrameWriter({}, received).advance(pair.b.get()), IoStatus::kClosed);
}

}  // namespace
}  // namespace switchyard::bootstrap
