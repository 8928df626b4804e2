// How the two ends of a connection prove that they know the job's secret, without sending it and
// before anything that the other end says is used. Three messages of fixed size:
//
//   rank r -> rank 0   challenge_r [32]
//   rank 0 -> rank r   challenge_0 [32] | proof_0 [32]
//   rank r -> rank 0   rank, num_ranks [4 + 4] | proof_r [32]
//
// A proof is a keyed hash over the direction, the protocol version, both challenges and, for rank
// r, its two numbers. Fresh challenges make a recorded proof worthless; the direction makes one
// end's proof worthless to the other end.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "csrc/bootstrap/deadline.h"
#include "csrc/bootstrap/tcp_socket.h"

namespace switchyard::bootstrap {

/// Enters every proof: ends that speak different versions refuse each other.
inline constexpr std::uint32_t kTcpProtocolVersion = 1;

using Challenge = std::array<unsigned char, 32>;
using Proof = std::array<unsigned char, 32>;

/// The key made from the job's secret. Wiped from memory when it goes.
class HandshakeKey {
 public:
  explicit HandshakeKey(const std::string& secret);
  HandshakeKey(const HandshakeKey&) = delete;
  HandshakeKey& operator=(const HandshakeKey&) = delete;
  ~HandshakeKey();

  [[nodiscard]] const unsigned char* data() const { return bytes_.data(); }

 private:
  std::array<unsigned char, 32> bytes_{};
};

/// Who a connection is, as it claims, and, once proven, is.
struct Claim {
  std::uint32_t rank = 0;
  std::uint32_t num_ranks = 0;
};

/// Rank 0's side of one connection.
class ServerHandshake {
 public:
  enum class Status : std::uint8_t { kPending, kProven, kRefused };

  /// Moves on as far as the bytes that have arrived allow.
  Status advance(int fd, const HandshakeKey& key);

  /// Meaningful after kProven.
  [[nodiscard]] Claim claim() const;

 private:
  bool answer(int fd, const HandshakeKey& key);

  Challenge client_challenge_{};
  Challenge server_challenge_{};
  std::array<unsigned char, sizeof(Claim) + sizeof(Proof)> claim_and_proof_{};
  std::size_t num_received_ = 0;
};

enum class ClientHandshakeResult : std::uint8_t {
  kProven,       ///< both ends know the secret
  kWrongSecret,  ///< the other end does not: nothing was proven to it
  kClosed,       ///< the other end went before it proved anything
  kTimeout,
};

/// Rank r's side, waiting for each message until `deadline`.
ClientHandshakeResult client_handshake(int fd,
                                       const HandshakeKey& key,
                                       const Claim& claim,
                                       const Deadline& deadline);

}  // namespace switchyard::bootstrap
