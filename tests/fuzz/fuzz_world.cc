#include "tests/fuzz/fuzz_world.h"

#include <cstring>

namespace switchyard::fuzz {
namespace {

using protocol::OperationArgs;
using protocol::Word;

constexpr std::uint64_t kHeapBytes = std::uint64_t{64} << 10U;
constexpr std::uint64_t kPageBytes = 4096;
constexpr std::uint64_t kEpoch = 20;  // earlier operations have used the slots
constexpr int kInFlight = 2;

Word* mailbox_of(FuzzInput& input, const OperationArgs& op) {
  const int peer = static_cast<int>(input.below(kNumRanks));
  switch (input.below(4)) {
    case 0:
      return op.hello_from(peer) + input.below(protocol::kFirstCountWord + 2);
    case 1:
      return op.answer_from(peer) + input.below(protocol::kFirstBaseWord + 2);
    case 2:
      return op.permit_from(peer, input.flip() ? op.epoch : op.epoch - 1) +
             input.below(protocol::kNumPermitWords);
    default:
      return op.progress_from(peer, static_cast<int>(input.below(kNumChannels)));
  }
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

void FuzzWorld::scribble(FuzzInput& input, const OperationArgs& op, std::uint32_t limit) {
  for (std::uint32_t words = input.below(limit + 1); words > 0 && !input.empty(); --words) {
    Word* word = mailbox_of(input, op);
    switch (input.below(3)) {
      case 0:
        *word = protocol::make_word(op.epoch, input.below(32));
        break;
      case 1:
        *word = protocol::make_word(op.epoch, input.number<std::uint32_t>());
        break;
      default:
        *word = input.number<Word>();
        break;
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

void TruePeer::put(Word* mailbox, const std::vector<std::uint64_t>& words) const {
  for (const std::uint64_t value : words) {
    *mailbox++ = protocol::make_word(op_.epoch, static_cast<std::uint32_t>(value));
  }
}

void TruePeer::permit(std::uint32_t signature, std::uint64_t region) const {
  put(op_.permit_from(peer_, op_.epoch), {signature, region / protocol::kRegionUnit});
}

void TruePeer::progress(std::uint64_t value) const {
  for (int channel = 0; channel < kNumChannels; ++channel) {
    put(op_.progress_from(peer_, channel), {value});
  }
}

}  // namespace switchyard::fuzz
