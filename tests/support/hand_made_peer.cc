#include "tests/support/hand_made_peer.h"

#include <algorithm>

namespace switchyard::test {

using protocol::Progress;
using protocol::Word;

HandMadePeer::HandMadePeer(const protocol::OperationArgs& receiver, int peer)
    : receiver_(receiver.peers.rank), op_(receiver), tag_(receiver.epoch) {
  op_.peers.rank = peer;
}

HandMadePeer& HandMadePeer::in_epoch(std::uint32_t epoch) {
  tag_ = epoch;
  return *this;
}

void HandMadePeer::put(Word* mailbox, std::uint32_t index, std::int64_t value) const {
  mailbox[index] = protocol::make_word(tag_, static_cast<std::uint32_t>(value));
}

void HandMadePeer::head(Word* mailbox,
                        std::uint32_t signature,
                        protocol::Status status,
                        std::uint32_t needed,
                        std::uint32_t available) const {
  put(mailbox, protocol::kSignatureWord, signature);
  put(mailbox, protocol::kStatusWord, static_cast<std::uint32_t>(status));
  put(mailbox, protocol::kNeededWord, needed);
  put(mailbox, protocol::kFreeWord, available);
}

void HandMadePeer::hello_head(std::uint32_t signature,
                              protocol::Status status,
                              std::uint32_t needed,
                              std::uint32_t available) const {
  head(op_.hello_at(receiver_), signature, status, needed, available);
}

void HandMadePeer::hello_word(std::uint32_t index, std::int64_t value) const {
  put(op_.hello_at(receiver_), index, value);
}

void HandMadePeer::counts(std::int32_t rows, std::initializer_list<std::int32_t> per_expert) const {
  hello_head(op_.signature);
  hello_word(protocol::kRowsWord, rows);
  std::uint32_t index = protocol::kFirstCountWord;
  for (const std::int32_t count : per_expert) {
    hello_word(index++, count);
  }
}

void HandMadePeer::announcement(std::uint64_t rows_at,
                                std::uint64_t row_weights_at,
                                std::uint64_t row_topk_weights_at) const {
  const auto units = [](std::uint64_t offset) {
    return static_cast<std::int64_t>(offset / protocol::kRowUnit);
  };
  hello_head(op_.signature);
  hello_word(protocol::kRowsAtWord, units(rows_at));
  hello_word(protocol::kRowWeightsAtWord, units(row_weights_at));
  hello_word(protocol::kRowTopkWeightsAtWord, units(row_topk_weights_at));
}

void HandMadePeer::answer_head(protocol::Status status,
                               std::uint32_t needed,
                               std::uint32_t available) const {
  head(op_.answer_at(receiver_), op_.signature, status, needed, available);
}

void HandMadePeer::answer_word(std::uint32_t index, std::int64_t value) const {
  put(op_.answer_at(receiver_), index, value);
}

void HandMadePeer::answer(std::uint64_t region,
                          std::int32_t num_rows,
                          std::initializer_list<std::int32_t> bases) const {
  answer_head();
  answer_word(protocol::kRegionWord, static_cast<std::int64_t>(region / protocol::kRegionUnit));
  answer_word(protocol::kNumRowsWord, num_rows);
  std::uint32_t index = protocol::kFirstBaseWord;
  for (const std::int32_t base : bases) {
    answer_word(index++, base);
  }
}

void HandMadePeer::hello_answer(std::uint64_t region, std::int32_t num_rows) const {
  hello_head(op_.signature);
  hello_word(protocol::kRegionWord, static_cast<std::int64_t>(region / protocol::kRegionUnit));
  hello_word(protocol::kNumRowsWord, num_rows);
}

void HandMadePeer::permit(protocol::PermitWord first,
                          std::uint32_t signature,
                          std::uint64_t region) const {
  protocol::OperationArgs op = op_;
  op.epoch = tag_;  // permits of an earlier epoch lie in its slot
  put(op.permit_at(receiver_),
      first + 1U,
      static_cast<std::int64_t>(region / protocol::kRegionUnit));
  put(op.permit_at(receiver_), first, signature);
}

void HandMadePeer::progress(int channel, std::uint32_t value) const {
  put(op_.progress_at(receiver_, channel), 0, value);
}

sim::SimRole& RoleTest::role(const runtime::Operation& operation,
                             protocol::RoleKind kind,
                             int channel) {
  for (sim::RunningOperation& running : world_.rank(kMe).running()) {
    for (const auto& each : running.roles) {
      if (running.operation.get() == &operation && each->kind() == kind && channel-- == 0) {
        return *each;
      }
    }
  }
  throw std::out_of_range("the operation has no such role");
}

Progress RoleTest::run(sim::SimRole& role) {
  Progress progress = Progress::kAdvanced;
  for (int step = 0; step < 1000 && progress == Progress::kAdvanced; ++step) {
    progress = role.step();
  }
  EXPECT_NE(progress, Progress::kAdvanced) << "1000 steps, and no end";
  world_.memory().publish_all();
  return progress;
}

void RoleTest::expect_blocked(sim::SimRole& role, protocol::WaitKind kind, int peer) {
  EXPECT_EQ(run(role), Progress::kBlocked);
  EXPECT_STREQ(protocol::wait_name(role.wait().kind), protocol::wait_name(kind));
  EXPECT_EQ(role.wait().peer, peer);
  // Nothing came in between, so nothing changes: not even by asking often.
  EXPECT_EQ(role.step(), Progress::kBlocked);
}

void RoleTest::expect_done(sim::SimRole& role) {
  EXPECT_EQ(run(role), Progress::kDone);
}

void RoleTest::expect_failed(const runtime::Operation& operation,
                             const protocol::Failure& failure) const {
  EXPECT_EQ(operation.flags.failed, 1U);
  EXPECT_EQ(operation.flags.placed, 0U);
  EXPECT_EQ(operation.flags.counted, 0U);
  EXPECT_EQ(operation.failure.kind, failure.kind);
  EXPECT_EQ(operation.failure.rank, failure.rank);
  EXPECT_EQ(operation.failure.needed, failure.needed);
  EXPECT_EQ(operation.failure.available, failure.available);
}

void RoleTest::expect_sent(const Word* at,
                           const runtime::Operation& operation,
                           std::int64_t value) const {
  EXPECT_EQ(protocol::word_tag(*at), operation.args_op().epoch);
  EXPECT_EQ(protocol::word_value(*at), static_cast<std::uint32_t>(value));
}

void RoleTest::expect_not_sent(const Word* at, const runtime::Operation& operation) const {
  EXPECT_NE(protocol::word_tag(*at), operation.args_op().epoch);
}

DispatchRequest RoleTest::make_request(const std::vector<std::vector<std::int32_t>>& experts,
                                       Layout layout) {
  const auto num_tokens = static_cast<std::int64_t>(experts.size());
  const std::int64_t topk = experts.empty() ? 1 : std::ssize(experts.front());
  x_.resize(experts.size() * kRowBytes);
  for (std::size_t i = 0; i < x_.size(); ++i) {
    x_[i] = static_cast<std::byte>(i * 7 + 1);
  }
  topk_idx_.clear();
  for (const auto& token : experts) {
    topk_idx_.insert(topk_idx_.end(), token.begin(), token.end());
  }
  DispatchRequest request;
  request.x = {x_.data(), DType::kBf16, {num_tokens, kHidden}};
  request.topk_idx = {topk_idx_.data(), DType::kInt32, {num_tokens, topk}};
  request.num_experts = kNumExperts;
  request.layout = layout;
  request.max_tokens = layout == Layout::kPadded ? 4 : 0;
  return request;
}

}  // namespace switchyard::test
