#include "tests/fuzz/fuzz_world.h"

#include <cstring>

#include "csrc/protocol/padded_permits.h"

namespace switchyard::fuzz {
namespace {

using protocol::MessageKind;
using protocol::OperationArgs;
using protocol::Word;

constexpr std::uint64_t kHeapBytes = std::uint64_t{64} << 10U;
constexpr std::uint64_t kPageBytes = 4096;
constexpr std::uint64_t kEpoch = 20;  // earlier operations have used the slots
constexpr int kInFlight = 2;

/// Something of a peer's that may be written over.
struct Place {
  Word* word;
  Word* mailbox;  // hello, answer or three words of a permit that it lies in, or null
  MessageKind kind;
  int peer;
  std::uint32_t tag;
};

/// `index` among the words that are no checks.
std::uint32_t skip_check(std::uint32_t index, std::uint32_t check) {
  return index < check ? index : index + 1;
}

Place pick_place(FuzzInput& input, const OperationArgs& op) {
  constexpr std::uint32_t kValues = 2;  // behind a row count, or behind region and rows
  const int peer = static_cast<int>(input.below(kNumRanks));
  switch (input.below(4)) {
    case 0: {
      Word* hello = op.hello_from(peer);
      const std::uint32_t index = input.below(protocol::kHeadCheckWord + 1 + kValues);
      return {hello + skip_check(index, protocol::kHeadCheckWord),
              hello,
              MessageKind::kHello,
              peer,
              op.epoch};
    }
    case 1: {
      Word* answer = op.answer_from(peer);
      const std::uint32_t index = input.below(protocol::kHeadCheckWord + 2 + kValues);
      return {answer + skip_check(index, protocol::kHeadCheckWord),
              answer,
              MessageKind::kAnswer,
              peer,
              op.epoch};
    }
    case 2: {
      // Of this operation, or what the one before offered to the next.
      const bool next = input.flip();
      const std::uint32_t tag = next ? op.epoch - 1 : op.epoch;
      Word* permit = op.permit_from(peer, tag) +
                     (next ? protocol::kNextSignatureWord : protocol::kPermitSignatureWord);
      return {permit + input.below(protocol::kPermitCheckWord),
              permit,
              next ? MessageKind::kNextPermit : MessageKind::kPermit,
              peer,
              tag};
    }
    default:
      return {op.progress_from(peer, static_cast<int>(input.below(kNumChannels))),
              nullptr,
              MessageKind::kProgress,
              peer,
              op.epoch};
  }
}

/// Writes the check of words [begin, end) behind them.
void seal(const Place& place, const OperationArgs& op, std::uint32_t begin, std::uint32_t end) {
  protocol::MessageCheck check{place.kind, place.tag, place.peer, op.peers.rank};
  for (std::uint32_t index = begin; index < end; ++index) {
    check.add(protocol::word_value(place.mailbox[index]));
  }
  place.mailbox[end] = protocol::make_word(place.tag, check.value());
}

/// A region that was scribbled belongs to a permit that is looked at; only its signature says so.
void seal_permit(const Place& place, const OperationArgs& op, std::uint32_t signature) {
  if (place.word != place.mailbox) {
    *place.mailbox = protocol::make_word(place.tag, signature);
  }
  seal(place, op, 0, protocol::kPermitCheckWord);
}

void seal_message(const Place& place, const OperationArgs& op, const MailboxEnds& ends) {
  seal(place, op, 0, protocol::kHeadCheckWord);
  seal(place,
       op,
       protocol::kNumHeadWords,
       place.kind == MessageKind::kHello ? ends.hello : ends.answer);
}

}  // namespace

FuzzWorld::FuzzWorld() : mapping_(memory::make_heap_layout(kNumRanks, kHeapBytes, kPageBytes)) {
  config_.max_experts = kNumExperts;
  config_.max_in_flight = kInFlight;
  config_.num_channels = kNumChannels;
  config_.chunk_tokens = 2;
  config_.heap_bytes = kHeapBytes;
  control_.num_ranks = kNumRanks;
  control_.num_slots = 2 * kInFlight;
  control_.num_channels = kNumChannels;
  control_.max_experts_per_rank = kNumExperts / kNumRanks;
  for (int rank = 0; rank < kNumRanks; ++rank) {
    expect(mapping_.map_anonymous(rank, 0) == 0, "there is memory for a heap");
  }
  reset();
}

void FuzzWorld::reset() {
  for (int rank = 0; rank < kNumRanks; ++rank) {
    std::memset(mapping_.heap(rank), 0, heap_bytes());
  }
  arena_ = std::make_unique<memory::Arena>(control_.block_bytes(), heap_bytes());
  warp_ = std::make_unique<host::HostWarp>(peers(), control_, *arena_);
}

runtime::OperationContext FuzzWorld::context() const {
  runtime::OperationContext context;
  context.buffer_id = 1;
  context.config = &config_;
  context.heap_bytes = heap_bytes();
  context.previous_padded_epoch = kEpoch - 1;
  context.op.peers = peers();
  context.op.control = control_;
  context.op.num_channels = kNumChannels;
  context.epoch = kEpoch;
  context.op.epoch = protocol::epoch_tag(kEpoch, control_.num_slots);
  return context;
}

void FuzzWorld::scribble(FuzzInput& input, const MailboxEnds& ends, const OperationArgs& op) {
  constexpr std::uint32_t kMostWords = 16;
  for (std::uint32_t words = input.below(kMostWords + 1); words > 0 && !input.empty(); --words) {
    const Place place = pick_place(input, op);
    const std::uint32_t how = input.below(3);
    if (how == 2) {
      *place.word = input.number<Word>();
      continue;
    }
    *place.word =
        protocol::make_word(place.tag, how == 0 ? input.below(32) : input.number<std::uint32_t>());
    if (place.kind == MessageKind::kPermit || place.kind == MessageKind::kNextPermit) {
      seal_permit(place, op, ends.permit_signature);
    } else if (place.mailbox != nullptr) {
      seal_message(place, op, ends);
    }
  }
}

void FuzzWorld::expect_control_blocks_intact() const {
  for (int rank = 0; rank < kNumRanks; ++rank) {
    if (rank == kMe) {
      continue;
    }
    std::vector<std::byte> block(mapping_.heap(rank), mapping_.heap(rank) + control_.block_bytes());
    for (std::uint32_t slot = 0; slot < control_.num_slots; ++slot) {
      const std::uint64_t begin = control_.hello(slot, kMe);
      const std::uint64_t end = control_.hello(slot, kMe + 1);
      std::memset(block.data() + begin, 0, end - begin);
    }
    // All zero: the first byte is, and every other one equals the one before it.
    expect(block[0] == std::byte{0} &&
               std::memcmp(block.data(), block.data() + 1, block.size() - 1) == 0,
           "a row was written over a peer's control block");
  }
}

void TruePeer::put(Word* words, const std::vector<std::uint64_t>& values) const {
  for (const std::uint64_t value : values) {
    *words++ = protocol::make_word(op_.epoch, static_cast<std::uint32_t>(value));
  }
}

void TruePeer::put_message(MessageKind kind,
                           Word* mailbox,
                           const std::vector<std::uint64_t>& values) const {
  put(mailbox, {op_.signature, 0, 0, 0});
  put(mailbox + protocol::kNumHeadWords, values);
  const Place place{mailbox, mailbox, kind, peer_, op_.epoch};
  seal(place, op_, 0, protocol::kHeadCheckWord);
  seal(place,
       op_,
       protocol::kNumHeadWords,
       protocol::kNumHeadWords + static_cast<std::uint32_t>(values.size()));
}

void TruePeer::hello(const std::vector<std::uint64_t>& values) const {
  put_message(MessageKind::kHello, op_.hello_from(peer_), values);
}

void TruePeer::answer(const std::vector<std::uint64_t>& values) const {
  put_message(MessageKind::kAnswer, op_.answer_from(peer_), values);
}

void TruePeer::permit(std::uint32_t signature, std::uint64_t region) const {
  const std::uint64_t unit = region / protocol::kRegionUnit;
  const protocol::MessageCheck check = protocol::permit_check(
      op_.check_from(peer_, MessageKind::kPermit), signature, static_cast<std::uint32_t>(unit));
  put(op_.permit_from(peer_, op_.epoch), {signature, unit, check.value()});
}

void TruePeer::progress(std::uint64_t content) const {
  for (int channel = 0; channel < kNumChannels; ++channel) {
    *op_.progress_from(peer_, channel) =
        op_.progress_word(op_.check_from(peer_, MessageKind::kProgress), channel, content);
  }
}

}  // namespace switchyard::fuzz
