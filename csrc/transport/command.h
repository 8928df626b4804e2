// What a role asks of the network, as the 16 bytes that it pushes into a FIFO (command_fifo.h). One
// description for the roles of every target and for the proxy that carries them out.
#pragma once

#include <cstdint>

#include "csrc/protocol/check.h"
#include "csrc/protocol/host_device.h"

namespace switchyard::transport {

enum class CommandKind : std::uint8_t {
  kPut = 0,     ///< copy bytes
  kSignal = 1,  ///< write a counter
};

/// One posting on a track: Put or Signal of transport.h, narrower.
struct Command {
  CommandKind kind = CommandKind::kPut;
  std::uint32_t track = 0;          ///< index in the proxy's table
  std::uint64_t remote_offset = 0;  ///< of the target or the counter; a multiple of 8
  std::uint64_t local_offset = 0;   ///< kPut: a multiple of 16
  std::uint64_t bytes = 0;          ///< kPut: a multiple of 16
  std::uint64_t value = 0;          ///< kSignal

  bool operator==(const Command&) const = default;
};

/// How the fields lie in two words. Bit 63 of *each* word is the lap bit, which tells the proxy
/// that the word is new: so it matters to nobody whether 16 bytes arrive as one store or as two.
///
///     word 0, put     | bytes / 16 : 26 | local / 16 : 36 | kind : 1 | lap : 1 |
///     word 0, signal  | value : 62                        | kind : 1 | lap : 1 |
///     word 1          | remote / 8 : 37 | track : 16 | spare : 10    | lap : 1 |
struct CommandBits {
  static constexpr int kBytes = 26;
  static constexpr int kLocal = 36;
  static constexpr int kValue = 62;
  static constexpr int kKind = 1;
  static constexpr int kRemote = 37;
  static constexpr int kTrack = 16;
  static constexpr int kSpare = 10;
  static constexpr int kLap = 1;
  static constexpr std::uint64_t kLapBit = std::uint64_t{1} << 63U;
  static constexpr std::uint64_t kPutUnit = 16;
  static constexpr std::uint64_t kRemoteUnit = 8;
  static_assert(kBytes + kLocal + kKind + kLap == 64);
  static_assert(kValue + kKind + kLap == 64);
  static_assert(kRemote + kTrack + kSpare + kLap == 64);
};

/// What the bits can hold. Regions up to 1 TiB, puts below 1 GiB, counters below 2^62.
inline constexpr std::uint64_t kMaxCommandBytes =
    ((std::uint64_t{1} << CommandBits::kBytes) - 1) * CommandBits::kPutUnit;
inline constexpr std::uint64_t kMaxCommandTracks = std::uint64_t{1} << CommandBits::kTrack;

/// A command as it lies in a FIFO, without its lap.
struct CommandWords {
  std::uint64_t first = 0;
  std::uint64_t second = 0;
};
static_assert(sizeof(CommandWords) == 16, "one 16-byte store for a GPU");

/// Errors: a broken invariant when a field does not fit its bits or is not aligned
SY_HOST_DEVICE inline CommandWords encode(const Command& command) {
  using B = CommandBits;
  SY_CHECK(command.remote_offset % B::kRemoteUnit == 0 &&
               command.remote_offset / B::kRemoteUnit >> B::kRemote == 0,
           "a command's remote offset is a multiple of 8 below 1 TiB");
  SY_CHECK(command.track < kMaxCommandTracks, "a command's track fits 16 bits");
  const std::uint64_t kind = static_cast<std::uint64_t>(command.kind) << B::kValue;
  CommandWords words;
  words.second = command.remote_offset / B::kRemoteUnit | static_cast<std::uint64_t>(command.track)
                                                              << B::kRemote;
  if (command.kind == CommandKind::kSignal) {
    SY_CHECK(command.value >> B::kValue == 0, "a counter stays below 2^62");
    words.first = command.value | kind;
    return words;
  }
  SY_CHECK(command.bytes % B::kPutUnit == 0 && command.bytes <= kMaxCommandBytes,
           "a command's bytes are a multiple of 16 below 1 GiB");
  SY_CHECK(command.local_offset % B::kPutUnit == 0 &&
               command.local_offset / B::kPutUnit >> B::kLocal == 0,
           "a command's local offset is a multiple of 16 below 1 TiB");
  words.first =
      command.bytes / B::kPutUnit | command.local_offset / B::kPutUnit << B::kBytes | kind;
  return words;
}

/// Any words give a command; whether it makes sense is the transport's to check.
SY_HOST_DEVICE inline Command decode(CommandWords words) {
  using B = CommandBits;
  const auto field = [](std::uint64_t word, int from, int bits) {
    return word >> from & ((std::uint64_t{1} << bits) - 1);
  };
  Command command;
  command.kind = static_cast<CommandKind>(field(words.first, B::kValue, B::kKind));
  command.track = static_cast<std::uint32_t>(field(words.second, B::kRemote, B::kTrack));
  command.remote_offset = field(words.second, 0, B::kRemote) * B::kRemoteUnit;
  if (command.kind == CommandKind::kSignal) {
    command.value = field(words.first, 0, B::kValue);
  } else {
    command.bytes = field(words.first, 0, B::kBytes) * B::kPutUnit;
    command.local_offset = field(words.first, B::kBytes, B::kLocal) * B::kPutUnit;
  }
  return command;
}

}  // namespace switchyard::transport
