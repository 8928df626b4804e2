// The memory map of the first bytes of every rank's heap: what peers write to tell this rank
// something. Payload never lies here. Each mailbox word is one 64-bit store that carries its tag
// (epoch or sequence) and 32 bits of content, so that arrival and content are one event, and
// nothing is ever cleared: a word with another tag is simply not there yet.
//
//   | bell | wait board | error record | descriptors [slots] | per slot and source: hello, answer,
//   permit, progress [channels] | rails (rail_layout.h), with several nodes |
//
// Slots: operation `epoch` uses slot epoch mod num_slots. num_slots is twice the operations in
// flight, which is what makes reuse safe (docs/protocol.md, "Why a slot is free").
#pragma once

#include <cstddef>
#include <cstdint>

#include "csrc/protocol/host_device.h"
#include "csrc/protocol/packet.h"
#include "csrc/protocol/progress.h"
#include "csrc/protocol/rail_layout.h"

namespace switchyard::protocol {

using Word = std::uint64_t;

SY_HOST_DEVICE constexpr Word make_word(std::uint32_t tag, std::uint32_t value) {
  return (Word{tag} << 32U) | value;
}
SY_HOST_DEVICE constexpr std::uint32_t word_tag(Word word) {
  return static_cast<std::uint32_t>(word >> 32U);
}
SY_HOST_DEVICE constexpr std::uint32_t word_value(Word word) {
  return static_cast<std::uint32_t>(word);
}

/// The 32-bit tag of operation number `epoch` (1, 2, ...) where there are `num_slots` slots. Never
/// 0, which is what memory holds that was never written; congruent to the epoch, so that slots go
/// on in turn when tags wrap.
SY_HOST_DEVICE constexpr std::uint32_t epoch_tag(std::uint64_t epoch, std::uint32_t num_slots) {
  const std::uint64_t tags = (std::uint64_t{1} << 32U) / num_slots * num_slots - num_slots;
  return num_slots + static_cast<std::uint32_t>(epoch % tags);
}

/// Heap offsets travel in units that fit 32 bits.
inline constexpr std::uint64_t kRegionUnit = kBlockAlignment;  ///< regions: 16 TiB of heap
inline constexpr std::uint64_t kRowUnit = kPartAlignment;  ///< rows of a combine: 64 GiB of heap

/// Whether a rank takes part in an operation that every rank has issued.
enum class Status : std::uint32_t {
  kAccepted = 0,
  kHeapTooSmall = 1,
  kOutputTooSmall = 2,  ///< the caller's own output memory
  /// Whoever stands for the rank issued another operation, and cannot read what follows the head.
  kDisagrees = 3,
};

/// First words of a hello and of an answer. Behind the last word of either stands the check of what
/// follows the head (message_check.h).
enum HeadWord : std::uint32_t {
  kSignatureWord = 0,  ///< hash of the operation's description: all ranks must agree
  kStatusWord = 1,
  kNeededWord = 2,  ///< when refused: what was needed, in kRegionUnit or rows
  kFreeWord = 3,    ///< when refused: what there was, in the same unit
  kHeadCheckWord = 4,
  kNumHeadWords = 5,
};

/// After the head: dispatch hello (source to destination).
enum CountWord : std::uint32_t {
  kRowsWord = kNumHeadWords,
  kFirstCountWord,  ///< tokens for each local expert of the destination follow
};

/// After the head: hello of a dispatch to another node. Packets on each channel come first, then,
/// for each rank of the node, what its own hello says: rows, and tokens for each expert.
SY_HOST_DEVICE constexpr std::uint32_t rail_counts_word(std::uint32_t num_channels,
                                                        std::uint32_t num_experts,
                                                        std::uint32_t peer) {
  return kNumHeadWords + num_channels + peer * (1 + num_experts);
}
/// Words of the longest such hello, with its check.
SY_HOST_DEVICE constexpr std::uint64_t rail_hello_words(std::uint32_t ranks_per_node,
                                                        std::uint32_t num_experts,
                                                        std::uint32_t num_channels) {
  return rail_counts_word(num_channels, num_experts, ranks_per_node) + std::uint64_t{1};
}

/// After the head: verdict of a node on a dispatch. The status is that of its first rank, in their
/// order, that refused.
enum VerdictWord : std::uint32_t {
  kRefuserWord = kNumHeadWords,  ///< that rank
  kNumVerdictWords,
};

/// After the head: combine hello (holder of expert outputs to the ranks that sum them). Offsets in
/// kRowUnit.
enum AnnounceWord : std::uint32_t {
  kRowsAtWord = kNumHeadWords,
  kRowWeightsAtWord,
  kRowTopkWeightsAtWord,
  kNumAnnounceWords,
};

/// After the head: answer (destination to source).
enum AnswerWord : std::uint32_t {
  kRegionWord = kNumHeadWords,  ///< in kRegionUnit
  kNumRowsWord,
  kFirstBaseWord,  ///< rank-major: one base row; expert-major: one per local expert
};

/// Permit (destination to source): leave to write a padded region. Tagged with the epoch of this
/// dispatch, or, for the next three, of the padded dispatch before, whose rows were
/// released: their region is offered to whichever comes next.
enum PermitWord : std::uint32_t {
  kPermitSignatureWord = 0,  ///< hash of the landing's shape
  kPermitRegionWord,         ///< in kRegionUnit
  kPermitCheckWord,
  kNextSignatureWord,
  kNextRegionWord,
  kNextCheckWord,
  kNumPermitWords,
};

/// Where a waiting rank sleeps and who failed.
struct Bell {
  std::uint32_t rings;     ///< futex word: grows with every ring
  std::uint32_t sleeping;  ///< set by a waiter before its last look, cleared by whoever rings
};

/// What a rank waits for, kept readable so that whoever waits for *that* rank can tell it from the
/// one that keeps both waiting.
struct WaitBoard {
  Word looks;  ///< grows while a thread of the rank waits: one that stands still does not wait, or
               ///< is stopped
  Word blocked;  ///< make_wait() of what it waited for at its last look, 0 before the first
};

/// A wait in one word: peer + 1 | lower bits of the operation's number | role | wait kind | channel.
struct WaitBits {
  static constexpr std::uint32_t kPeer = 20;  ///< 65,536 ranks and nobody
  static constexpr std::uint32_t kOperation = 20;
  static constexpr std::uint32_t kOther = 8;  ///< each of role, kind and channel
  static_assert(kPeer + kOperation + 3 * kOther == 64);

  static constexpr Word kOperations = Word{1} << kOperation;
};

SY_HOST_DEVICE constexpr Word make_wait(std::uint64_t operation,
                                        const WaitPoint& wait,
                                        RoleKind role) {
  return (static_cast<Word>(wait.peer + 1) << 44U) | ((operation % WaitBits::kOperations) << 24U) |
         (static_cast<Word>(role) << 16U) | (static_cast<Word>(wait.kind) << 8U) |
         (static_cast<Word>(wait.channel) & 0xffU);
}
SY_HOST_DEVICE constexpr std::int32_t wait_peer(Word wait) {
  return static_cast<std::int32_t>(wait >> 44U) - 1;
}
/// The number nearest to `near` that has the word's lower bits: ranks that wait for each other are
/// a few operations apart.
SY_HOST_DEVICE constexpr std::uint64_t wait_operation(Word wait, std::uint64_t near) {
  const std::uint64_t ahead = ((wait >> 24U) - near) % WaitBits::kOperations;
  return ahead < WaitBits::kOperations / 2 ? near + ahead : near + ahead - WaitBits::kOperations;
}
SY_HOST_DEVICE constexpr RoleKind wait_role(Word wait) {
  return static_cast<RoleKind>(static_cast<std::uint8_t>(wait >> 16U));
}
SY_HOST_DEVICE constexpr WaitKind wait_kind(Word wait) {
  return static_cast<WaitKind>(static_cast<std::uint8_t>(wait >> 8U));
}
SY_HOST_DEVICE constexpr std::int32_t wait_channel(Word wait) {
  return static_cast<std::int32_t>(wait & 0xffU);
}

/// The first fault of the group, pushed to every rank by the role that met it.
struct ErrorRecord {
  Word state;  ///< 0 none, 1 being written, 2 readable
  std::int32_t reporter;
  std::int32_t peer;
  std::uint32_t cause;  ///< runtime's ErrorCode
  std::uint32_t role;
  std::int32_t channel;
  std::uint32_t wait;
  Word expected;
  Word seen;
  Word epoch;
};

/// What a rank is about to do, kept readable so that a peer that disagrees can say in which field.
struct OperationDescriptor {
  Word epoch;
  std::uint32_t fields[30];
};

/// Offsets of everything above. Same on every rank: computed from agreed configuration only.
struct ControlLayout {
  std::uint32_t num_ranks = 1;  ///< of all nodes
  std::uint32_t num_slots = 2;
  std::uint32_t num_channels = 1;
  std::uint32_t max_experts_per_rank = 1;
  std::uint32_t num_nodes = 1;
  std::uint64_t ring_bytes = 0;  ///< of each ring of each channel and other node

  static constexpr std::uint64_t kLine = 64;
  static constexpr std::uint64_t kDescriptorBytes = 2 * kLine;

  SY_HOST_DEVICE constexpr std::uint64_t bell() const { return 0; }
  SY_HOST_DEVICE constexpr std::uint64_t wait_board() const { return kLine; }
  SY_HOST_DEVICE constexpr std::uint64_t error_record() const { return 2 * kLine; }
  SY_HOST_DEVICE constexpr std::uint64_t descriptor(std::uint32_t slot) const {
    return error_record() + round_up(sizeof(ErrorRecord), kLine) + slot * kDescriptorBytes;
  }
  SY_HOST_DEVICE constexpr std::uint64_t hello(std::uint32_t slot, int source) const {
    return slot_begin(slot) + static_cast<std::uint64_t>(source) * per_source_bytes();
  }
  SY_HOST_DEVICE constexpr std::uint64_t answer(std::uint32_t slot, int source) const {
    return hello(slot, source) + hello_bytes();
  }
  SY_HOST_DEVICE constexpr std::uint64_t progress(std::uint32_t slot,
                                                  int source,
                                                  int channel) const {
    return permit(slot, source) + kLine + static_cast<std::uint64_t>(channel) * sizeof(Word);
  }
  SY_HOST_DEVICE constexpr std::uint64_t permit(std::uint32_t slot, int source) const {
    return answer(slot, source) + answer_bytes();
  }
  SY_HOST_DEVICE constexpr RailLayout rails() const {
    return {round_up(slot_begin(num_slots), kLine),
            num_nodes,
            num_slots,
            num_channels,
            rail_hello_words(num_ranks / num_nodes, max_experts_per_rank, num_channels),
            ring_bytes};
  }
  SY_HOST_DEVICE constexpr std::uint64_t block_bytes() const {
    return round_up(rails().end(), kBlockAlignment);
  }

 private:
  SY_HOST_DEVICE constexpr std::uint64_t hello_bytes() const {
    const std::uint64_t counts = kFirstCountWord + max_experts_per_rank;
    const std::uint64_t words =
        counts < kNumAnnounceWords ? std::uint64_t{kNumAnnounceWords} : counts;
    return round_up((words + 1) * sizeof(Word), kLine);  // and the check
  }
  SY_HOST_DEVICE constexpr std::uint64_t answer_bytes() const {
    return round_up((kFirstBaseWord + max_experts_per_rank + 1) * sizeof(Word), kLine);
  }
  SY_HOST_DEVICE constexpr std::uint64_t per_source_bytes() const {
    return hello_bytes() + answer_bytes() + kLine + round_up(num_channels * sizeof(Word), kLine);
  }
  SY_HOST_DEVICE constexpr std::uint64_t slot_begin(std::uint32_t slot) const {
    return descriptor(num_slots) + slot * num_ranks * per_source_bytes();
  }
};
static_assert(sizeof(OperationDescriptor) == ControlLayout::kDescriptorBytes);
static_assert(sizeof(Bell) <= ControlLayout::kLine);
static_assert(sizeof(WaitBoard) <= ControlLayout::kLine);
static_assert(kNumPermitWords * sizeof(Word) <= ControlLayout::kLine);

}  // namespace switchyard::protocol
