#include "csrc/bootstrap/tcp_handshake.h"

#include <sodium.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>
#include <vector>

#include "csrc/protocol/check.h"

namespace switchyard::bootstrap {
namespace {

static_assert(sizeof(Proof) == crypto_auth_BYTES);
static_assert(crypto_auth_KEYBYTES == 32 && crypto_generichash_BYTES == 32);
static_assert(sizeof(Claim) == 8,
              "no padding: the claim travels and is hashed as it lies in memory");
static_assert(std::endian::native == std::endian::little, "numbers travel lowest byte first");

constexpr std::string_view kKeyContext = "switchyard tcp bootstrap key";

/// Direction of a proof; both of one length, so that no other field can move into their place.
constexpr std::string_view kServerLabel = "switchyard proof of rank 0 ";
constexpr std::string_view kClientLabel = "switchyard proof of a rank ";
static_assert(kServerLabel.size() == kClientLabel.size());

struct Transcript {
  std::string_view label;
  const Challenge& client_challenge;
  const Challenge& server_challenge;
  Claim claim;
};

std::vector<unsigned char> bytes_of(const Transcript& transcript) {
  std::vector<unsigned char> bytes;
  const auto append = [&bytes](const void* data, std::size_t size) {
    const auto* first = static_cast<const unsigned char*>(data);
    bytes.insert(bytes.end(), first, first + size);
  };
  append(transcript.label.data(), transcript.label.size());
  append(&kTcpProtocolVersion, sizeof(kTcpProtocolVersion));
  append(transcript.client_challenge.data(), sizeof(Challenge));
  append(transcript.server_challenge.data(), sizeof(Challenge));
  append(&transcript.claim, sizeof(Claim));
  return bytes;
}

Proof prove(const HandshakeKey& key, const Transcript& transcript) {
  const auto bytes = bytes_of(transcript);
  Proof proof{};
  ::crypto_auth(proof.data(), bytes.data(), bytes.size(), key.data());
  return proof;
}

/// In time that does not depend on how much of the proof is right.
bool verify(const HandshakeKey& key, const Transcript& transcript, const unsigned char* proof) {
  const auto bytes = bytes_of(transcript);
  return ::crypto_auth_verify(proof, bytes.data(), bytes.size(), key.data()) == 0;
}

Challenge fresh_challenge() {
  Challenge challenge{};
  ::randombytes_buf(challenge.data(), challenge.size());
  return challenge;
}

template <std::size_t kSize>
ClientHandshakeResult receive_all(int fd,
                                  std::array<unsigned char, kSize>& bytes,
                                  const Deadline& deadline) {
  std::span<std::byte> rest = std::as_writable_bytes(std::span(bytes));
  for (;;) {
    switch (receive_some(fd, rest)) {
      case IoStatus::kDone:
        return ClientHandshakeResult::kProven;
      case IoStatus::kClosed:
        return ClientHandshakeResult::kClosed;
      case IoStatus::kBlocked:
        break;
    }
    std::vector<pollfd> waiting{{.fd = fd, .events = POLLIN, .revents = 0}};
    if (!wait_ready(waiting, deadline)) {
      return ClientHandshakeResult::kTimeout;
    }
  }
}

/// Handshake messages are far smaller than any socket's buffer: one that does not go out at once
/// goes nowhere.
template <std::size_t kSize>
bool send_all(int fd, const std::array<unsigned char, kSize>& bytes) {
  std::span<const std::byte> rest = std::as_bytes(std::span(bytes));
  return send_some(fd, rest) == IoStatus::kDone;
}

}  // namespace

HandshakeKey::HandshakeKey(const std::string& secret) {
  SY_CHECK(::sodium_init() >= 0, "libsodium can be initialised");
  ::crypto_generichash(bytes_.data(),
                       bytes_.size(),
                       reinterpret_cast<const unsigned char*>(secret.data()),
                       secret.size(),
                       reinterpret_cast<const unsigned char*>(kKeyContext.data()),
                       kKeyContext.size());
}

HandshakeKey::~HandshakeKey() {
  ::sodium_memzero(bytes_.data(), bytes_.size());
}

ServerHandshake::Status ServerHandshake::advance(int fd, const HandshakeKey& key) {
  if (num_received_ < client_challenge_.size()) {
    std::span<std::byte> rest = std::as_writable_bytes(std::span(client_challenge_));
    rest = rest.subspan(num_received_);
    const IoStatus status = receive_some(fd, rest);
    num_received_ = client_challenge_.size() - rest.size();
    if (status == IoStatus::kClosed || (status == IoStatus::kDone && !answer(fd, key))) {
      return Status::kRefused;
    }
    if (status == IoStatus::kBlocked) {
      return Status::kPending;
    }
  }
  std::span<std::byte> rest = std::as_writable_bytes(std::span(claim_and_proof_));
  rest = rest.subspan(num_received_ - client_challenge_.size());
  const IoStatus status = receive_some(fd, rest);
  num_received_ = client_challenge_.size() + claim_and_proof_.size() - rest.size();
  if (status != IoStatus::kDone) {
    return status == IoStatus::kClosed ? Status::kRefused : Status::kPending;
  }
  const Transcript transcript{kClientLabel, client_challenge_, server_challenge_, claim()};
  return verify(key, transcript, claim_and_proof_.data() + sizeof(Claim)) ? Status::kProven
                                                                          : Status::kRefused;
}

bool ServerHandshake::answer(int fd, const HandshakeKey& key) {
  server_challenge_ = fresh_challenge();
  const Proof proof = prove(key, {kServerLabel, client_challenge_, server_challenge_, {}});
  std::array<unsigned char, sizeof(Challenge) + sizeof(Proof)> message{};
  std::copy(proof.begin(),
            proof.end(),
            std::copy(server_challenge_.begin(), server_challenge_.end(), message.begin()));
  return send_all(fd, message);
}

Claim ServerHandshake::claim() const {
  Claim claim;
  std::memcpy(&claim, claim_and_proof_.data(), sizeof(claim));
  return claim;
}

ClientHandshakeResult client_handshake(int fd,
                                       const HandshakeKey& key,
                                       const Claim& claim,
                                       const Deadline& deadline) {
  const Challenge client_challenge = fresh_challenge();
  if (!send_all(fd, client_challenge)) {
    return ClientHandshakeResult::kClosed;
  }
  std::array<unsigned char, sizeof(Challenge) + sizeof(Proof)> answer{};
  if (const auto result = receive_all(fd, answer, deadline);
      result != ClientHandshakeResult::kProven) {
    return result;
  }
  Challenge server_challenge{};
  std::copy_n(answer.begin(), server_challenge.size(), server_challenge.begin());
  if (!verify(key,
              {kServerLabel, client_challenge, server_challenge, {}},
              answer.data() + sizeof(Challenge))) {
    return ClientHandshakeResult::kWrongSecret;
  }
  const Proof proof = prove(key, {kClientLabel, client_challenge, server_challenge, claim});
  std::array<unsigned char, sizeof(Claim) + sizeof(Proof)> message{};
  std::memcpy(message.data(), &claim, sizeof(claim));
  std::copy(proof.begin(), proof.end(), message.begin() + sizeof(Claim));
  return send_all(fd, message) ? ClientHandshakeResult::kProven : ClientHandshakeResult::kClosed;
}

}  // namespace switchyard::bootstrap
