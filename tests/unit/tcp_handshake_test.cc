#include "csrc/bootstrap/tcp_handshake.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <vector>

#include "tests/support/socket_pair.h"

namespace switchyard::bootstrap {
namespace {

using std::chrono::milliseconds;
using Bytes = std::vector<std::byte>;
using Status = ServerHandshake::Status;

constexpr std::size_t kChallengeBytes = 32;
constexpr std::size_t kAnswerBytes = 64;  // challenge and proof of rank 0
constexpr std::size_t kClaimBytes = 40;   // claim and proof of the other rank

const HandshakeKey& key() {
  static const HandshakeKey key("a secret of this job");
  return key;
}

Bytes concatenated(Bytes first, std::span<const std::byte> second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

/// What a true rank 3 of 4 says to a server with the same secret, and what it hears.
struct Conversation {
  Bytes challenge;
  Bytes answer;
  Bytes claim;
  ServerHandshake server;
};

/// Runs a handshake between a true client and a true server, passing every message through the
/// test. The server has not seen the last message yet.
Conversation converse() {
  test::SocketPair to_client;
  test::SocketPair to_server;
  Conversation seen;
  auto client = std::async(std::launch::async, [&] {
    return client_handshake(to_client.a.get(), key(), {3, 4}, Deadline(milliseconds(60'000)));
  });
  seen.challenge = test::receive_bytes(to_client.b.get(), kChallengeBytes);
  test::send_bytes(to_server.b.get(), seen.challenge);
  EXPECT_EQ(seen.server.advance(to_server.a.get(), key()), Status::kPending);
  seen.answer = test::receive_bytes(to_server.b.get(), kAnswerBytes);
  test::send_bytes(to_client.b.get(), seen.answer);
  seen.claim = test::receive_bytes(to_client.b.get(), kClaimBytes);
  EXPECT_EQ(client.get(), ClientHandshakeResult::kProven);
  return seen;
}

/// Feeds the last message to the server of a conversation.
Status finish(ServerHandshake& server, const Bytes& claim) {
  test::SocketPair pair;
  test::send_bytes(pair.b.get(), claim);
  return server.advance(pair.a.get(), key());
}

TEST(TcpHandshake, ProvesBothEndsWhenTheyShareTheSecret) {
  Conversation seen = converse();
  ASSERT_EQ(finish(seen.server, seen.claim), Status::kProven);
  EXPECT_EQ(seen.server.claim().rank, 3U);
  EXPECT_EQ(seen.server.claim().num_ranks, 4U);
}

TEST(TcpHandshake, GoesOnWhereItStoppedWhenBytesComeOneByOne) {
  Conversation seen = converse();
  test::SocketPair pair;
  for (const std::byte byte : seen.claim) {
    EXPECT_EQ(seen.server.advance(pair.a.get(), key()), Status::kPending);
    test::send_bytes(pair.b.get(), std::span(&byte, 1));
  }
  EXPECT_EQ(seen.server.advance(pair.a.get(), key()), Status::kProven);
}

TEST(TcpHandshake, ServerAnswersNothingWhenTheChallengeIsIncomplete) {
  test::SocketPair pair;
  ServerHandshake server;
  test::send_bytes(pair.b.get(), Bytes(kChallengeBytes - 1));
  EXPECT_EQ(server.advance(pair.a.get(), key()), Status::kPending);
  pair.a.reset();
  EXPECT_TRUE(test::receive_bytes(pair.b.get(), 1).empty());
}

TEST(TcpHandshake, ServerRefusesWhenTheClientHasAnotherSecret) {
  // Rank 0's proof needs its own key, so this client skips the check and proves with what it has.
  Conversation seen = converse();
  test::SocketPair pair;
  ServerHandshake other_server;
  const HandshakeKey other_key("another secret");
  test::send_bytes(pair.b.get(), seen.challenge);
  ASSERT_EQ(other_server.advance(pair.a.get(), other_key), Status::kPending);
  test::send_bytes(pair.b.get(), seen.claim);
  EXPECT_EQ(other_server.advance(pair.a.get(), other_key), Status::kRefused);
}

TEST(TcpHandshake, ClientProvesNothingWhenTheServerHasAnotherSecret) {
  test::SocketPair pair;
  auto client = std::async(std::launch::async, [&] {
    const auto result =
        client_handshake(pair.a.get(), key(), {1, 2}, Deadline(milliseconds(60'000)));
    pair.a.reset();
    return result;
  });
  const HandshakeKey other_key("another secret");
  test::SocketPair to_server;
  ServerHandshake server;
  test::send_bytes(to_server.b.get(), test::receive_bytes(pair.b.get(), kChallengeBytes));
  ASSERT_EQ(server.advance(to_server.a.get(), other_key), Status::kPending);
  test::send_bytes(pair.b.get(), test::receive_bytes(to_server.b.get(), kAnswerBytes));
  EXPECT_EQ(client.get(), ClientHandshakeResult::kWrongSecret);
  EXPECT_TRUE(test::receive_bytes(pair.b.get(), 1).empty());
}

TEST(TcpHandshake, ServerRefusesWhenARecordedProofIsReplayed) {
  const Conversation recorded = converse();
  test::SocketPair pair;
  ServerHandshake server;
  test::send_bytes(pair.b.get(), concatenated(recorded.challenge, recorded.claim));
  EXPECT_EQ(server.advance(pair.a.get(), key()), Status::kRefused);
}

TEST(TcpHandshake, ClientRefusesWhenARecordedAnswerIsReplayed) {
  const Conversation recorded = converse();
  test::SocketPair pair;
  test::send_bytes(pair.b.get(), recorded.answer);
  EXPECT_EQ(client_handshake(pair.a.get(), key(), {3, 4}, Deadline(milliseconds(60'000))),
            ClientHandshakeResult::kWrongSecret);
}

TEST(TcpHandshake, ServerRefusesWhenItsOwnProofIsReflected) {
  // With the claim 0 of 0 the two directions hash the same bytes but for the direction itself.
  Conversation seen = converse();
  const auto proof_of_server = std::span(seen.answer).subspan(kChallengeBytes);
  EXPECT_EQ(finish(seen.server, concatenated(Bytes(sizeof(Claim)), proof_of_server)),
            Status::kRefused);
}

TEST(TcpHandshake, ClientRefusesWhenItsOwnChallengeIsReflected) {
  test::SocketPair pair;
  auto client = std::async(std::launch::async, [&] {
    return client_handshake(pair.a.get(), key(), {0, 0}, Deadline(milliseconds(60'000)));
  });
  const Bytes challenge = test::receive_bytes(pair.b.get(), kChallengeBytes);
  test::send_bytes(pair.b.get(), concatenated(challenge, challenge));
  EXPECT_EQ(client.get(), ClientHandshakeResult::kWrongSecret);
}

TEST(TcpHandshake, ServerRefusesWhenAnyBitOfTheClaimOrProofIsChanged) {
  for (std::size_t i = 0; i < kClaimBytes; ++i) {
    Conversation seen = converse();
    seen.claim[i] ^= std::byte{0x10};
    EXPECT_EQ(finish(seen.server, seen.claim), Status::kRefused) << "byte " << i;
  }
}

TEST(TcpHandshake, UsesFreshChallengesWhenRepeated) {
  const Conversation first = converse();
  const Conversation second = converse();
  EXPECT_NE(first.challenge, second.challenge);
  EXPECT_FALSE(std::equal(
      first.answer.begin(), first.answer.begin() + kChallengeBytes, second.answer.begin()));
}

TEST(TcpHandshake, EndsWhenTheOtherSideCloses) {
  test::SocketPair pair;
  pair.b.reset();
  ServerHandshake server;
  EXPECT_EQ(server.advance(pair.a.get(), key()), Status::kRefused);
  EXPECT_EQ(client_handshake(pair.a.get(), key(), {1, 2}, Deadline(milliseconds(60'000))),
            ClientHandshakeResult::kClosed);
}

TEST(TcpHandshake, ClientGivesUpAtTheDeadlineWhenTheServerIsSilent) {
  test::SocketPair pair;
  EXPECT_EQ(client_handshake(pair.a.get(), key(), {1, 2}, Deadline(milliseconds(50))),
            ClientHandshakeResult::kTimeout);
}

}  // namespace
}  // namespace switchyard::bootstrap
