// What travels on a connection after its handshake: frames of a header and a payload. Each end
// knows which frame comes next and how long it is, so a peer's numbers are compared, never obeyed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "csrc/bootstrap/tcp_socket.h"

namespace switchyard::bootstrap {

enum class FrameKind : std::uint64_t {
  kGather = 1,   ///< a rank's bytes, or everybody's bytes in rank order
  kFailure = 2,  ///< text: why the group has ended; the last frame of a connection
};

struct FrameHeader {
  FrameKind kind = FrameKind::kGather;
  std::uint64_t sequence = 0;  ///< number of the all_gather, from 0
  std::uint64_t bytes = 0;     ///< of the payload
};
static_assert(sizeof(FrameHeader) == 24, "no padding: a header travels as it lies in memory");

/// Longest text of a failure that is sent or believed.
inline constexpr std::size_t kMaxFailureBytes = 1024;

/// One frame on its way out. The payload must outlive it.
class FrameWriter {
 public:
  FrameWriter(FrameHeader header, std::span<const std::byte> payload);

  /// Sends what the socket takes now.
  IoStatus advance(int fd);
  [[nodiscard]] bool done() const { return num_header_sent_ == sizeof(header_) && rest_.empty(); }
  [[nodiscard]] bool started() const { return num_header_sent_ != 0; }

 private:
  FrameHeader header_;
  std::size_t num_header_sent_ = 0;
  std::span<const std::byte> rest_;
};

/// One frame on its way in: the all_gather number `sequence` with exactly the bytes of `payload`.
class FrameReader {
 public:
  enum class Status : std::uint8_t {
    kPending,
    kDone,
    kClosed,       ///< the other end is gone
    kFailure,      ///< the group has ended: failure_text()
    kWrongLength,  ///< the peer announces another length: got_bytes()
    kOutOfOrder,   ///< not the frame that must come next
  };

  FrameReader(std::uint64_t sequence, std::span<std::byte> payload)
      : sequence_(sequence), rest_(payload) {}

  /// Takes what has arrived. Anything but kPending is final.
  Status advance(int fd);
  [[nodiscard]] bool done() const { return status_ == Status::kDone; }
  [[nodiscard]] std::uint64_t got_bytes() const { return header_.bytes; }
  [[nodiscard]] std::string failure_text() const;

 private:
  Status advance_header(int fd);
  Status judge_header();

  std::uint64_t sequence_;
  std::span<std::byte> rest_;
  FrameHeader header_;
  std::size_t num_header_received_ = 0;
  std::array<char, kMaxFailureBytes> text_{};
  Status status_ = Status::kPending;
};

/// Tells the other end, if its socket takes the text at once, why the group has ended.
void send_failure(int fd, const std::string& text);

}  // namespace switchyard::bootstrap
