// Rank 1 of 3 whose peers are a fuzzer: heaps as the library maps them, with nothing between them,
// so that a role that believes a wrong offset faults.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "csrc/memory/arena.h"
#include "csrc/memory/heap_mapping.h"
#include "csrc/protocol/control_block.h"
#include "csrc/protocol/progress.h"
#include "csrc/runtime/operation.h"
#include "csrc/targets/host/host_warp.h"
#include "tests/fuzz/fuzz_input.h"

namespace switchyard::fuzz {

inline constexpr int kMe = 1;
inline constexpr int kNumRanks = 3;
inline constexpr int kNumExperts = 6;
inline constexpr int kNumChannels = 2;
inline constexpr int kHidden = 8;
inline constexpr std::size_t kRowBytes = 16;  // bf16

/// Words of a hello and an answer, without the check behind them, and what a permit is for.
struct MailboxEnds {
  std::uint32_t hello;
  std::uint32_t answer;
  std::uint32_t permit_signature = 0;
};

class FuzzWorld {
 public:
  FuzzWorld();
  FuzzWorld(const FuzzWorld&) = delete;
  FuzzWorld& operator=(const FuzzWorld&) = delete;

  /// All heaps empty, nothing allocated.
  void reset();

  [[nodiscard]] Config& config() { return config_; }
  [[nodiscard]] runtime::OperationContext context() const;
  [[nodiscard]] const protocol::ControlLayout& control() const { return control_; }
  [[nodiscard]] protocol::Peers peers() const { return mapping_.peers(kMe); }
  [[nodiscard]] std::uint64_t heap_bytes() const { return mapping_.layout().heap_bytes; }
  /// Where the arena puts the first region of any rank.
  [[nodiscard]] std::uint64_t first_region() const { return control_.block_bytes(); }
  [[nodiscard]] memory::Arena& arena() { return *arena_; }
  [[nodiscard]] host::HostWarp& warp() { return *warp_; }

  /// Writes up to `limit` words that peers could write into the mailboxes of the operation: with
  /// its tag and a value, and checks that fit, or any word.
  static void scribble(FuzzInput& input,
                       const MailboxEnds& ends,
                       const protocol::OperationArgs& op);

  /// A finding unless peers' control blocks hold nothing but rank 1's own mailboxes.
  void expect_control_blocks_intact() const;

 private:
  Config config_;
  protocol::ControlLayout control_;
  memory::HeapMapping mapping_;
  std::unique_ptr<memory::Arena> arena_;
  std::unique_ptr<host::HostWarp> warp_;
};

/// Writes a message of `peer` with the operation's tag, as a true peer would.
class TruePeer {
 public:
  TruePeer(const protocol::OperationArgs& op, int peer) : op_(op), peer_(peer) {}

  /// Values behind an accepting head.
  void hello(const std::vector<std::uint64_t>& values) const;
  void answer(const std::vector<std::uint64_t>& values) const;
  void permit(std::uint32_t signature, std::uint64_t region) const;
  void progress(std::uint64_t content) const;

 private:
  void put(protocol::Word* words, const std::vector<std::uint64_t>& values) const;
  void put_message(protocol::MessageKind kind,
                   protocol::Word* mailbox,
                   const std::vector<std::uint64_t>& values) const;

  const protocol::OperationArgs& op_;
  int peer_;
};

/// A role that is stepped until it can do nothing more.
template <class Role>
class FuzzedRole {
 public:
  template <class... Args>
  explicit FuzzedRole(Args... args) : role_(args...) {}

  void run(host::HostWarp& warp) {
    constexpr int kMostSteps = 10'000;  // some hundred times what any of these operations needs
    for (int step = 0; !done_ && step < kMostSteps; ++step) {
      const protocol::Progress progress = role_.step(warp);
      done_ = progress == protocol::Progress::kDone;
      if (progress == protocol::Progress::kBlocked) {
        expect(role_.wait().peer >= -1 && role_.wait().peer < kNumRanks, "waits for no rank");
        return;
      }
    }
    expect(done_, "a role goes on for ever");
  }
  [[nodiscard]] bool done() const { return done_; }

 private:
  Role role_;
  bool done_ = false;
};

}  // namespace switchyard::fuzz
