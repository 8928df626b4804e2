#include "tests/support/hand_made_peer.h"

#include <algorithm>

#include "csrc/protocol/padded_permits.h"

namespace switchyard::test {

using protocol::MessageKind;
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

void HandMadePeer::head(MessageKind kind,
                        Word* mailbox,
                        std::uint32_t signature,
                        const HeadNumbers& numbers) const {
  const std::uint32_t values[] = {
      signature, static_cast<std::uint32_t>(numbers.status), numbers.needed, numbers.available};
  protocol::MessageCheck check = check_of(kind);
  for (std::uint32_t index = 0; index < protocol::kHeadCheckWord; ++index) {
    put(mailbox, index, values[index]);
    check.add(values[index]);
  }
  put(mailbox, protocol::kHeadCheckWord, check.value());
}

void HandMadePeer::body(MessageKind kind,
                        Word* mailbox,
                        const std::vector<std::int64_t>& values) const {
  std::uint32_t index = protocol::kNumHeadWords;
  protocol::MessageCheck check = check_of(kind);
  for (const std::int64_t value : values) {
    put(mailbox, index++, value);
    check.add(static_cast<std::uint32_t>(value));
  }
  put(mailbox, index, check.value());
}

void HandMadePeer::hello_head(std::uint32_t signature,
                              protocol::Status status,
                              std::uint32_t needed,
                              std::uint32_t available) const {
  head(MessageKind::kHello, op_.hello_at(receiver_), signature, {status, needed, available});
}

void HandMadePeer::hello_word(std::uint32_t index, std::int64_t value) const {
  put(op_.hello_at(receiver_), index, value);
}

void HandMadePeer::counts(std::int32_t rows, std::initializer_list<std::int32_t> per_expert) const {
  hello_head(op_.signature);
  std::vector<std::int64_t> values{rows};
  values.insert(values.end(), per_expert.begin(), per_expert.end());
  body(MessageKind::kHello, op_.hello_at(receiver_), values);
}

void HandMadePeer::announcement(std::uint64_t rows_at,
                                std::uint64_t row_weights_at,
                                std::uint64_t row_topk_weights_at) const {
  const auto units = [](std::uint64_t offset) {
    return static_cast<std::int64_t>(offset / protocol::kRowUnit);
  };
  hello_head(op_.signature);
  body(MessageKind::kHello,
       op_.hello_at(receiver_),
       {units(rows_at), units(row_weights_at), units(row_topk_weights_at)});
}

void HandMadePeer::answer_head(protocol::Status status,
                               std::uint32_t needed,
                               std::uint32_t available) const {
  head(MessageKind::kAnswer, op_.answer_at(receiver_), op_.signature, {status, needed, available});
}

void HandMadePeer::answer_word(std::uint32_t index, std::int64_t value) const {
  put(op_.answer_at(receiver_), index, value);
}

void HandMadePeer::answer(std::uint64_t region,
                          std::int32_t num_rows,
                          std::initializer_list<std::int32_t> bases) const {
  answer_head();
  std::vector<std::int64_t> values{static_cast<std::int64_t>(region / protocol::kRegionUnit),
                                   num_rows};
  values.insert(values.end(), bases.begin(), bases.end());
  body(MessageKind::kAnswer, op_.answer_at(receiver_), values);
}

void HandMadePeer::hello_answer(std::uint64_t region, std::int32_t num_rows) const {
  hello_head(op_.signature);
  body(MessageKind::kHello,
       op_.hello_at(receiver_),
       {static_cast<std::int64_t>(region / protocol::kRegionUnit), num_rows});
}

void HandMadePeer::permit(protocol::PermitWord first,
                          std::uint32_t signature,
                          std::uint64_t region) const {
  protocol::OperationArgs op = op_;
  op.epoch = tag_;  // permits of an earlier epoch lie in its slot
  const auto unit = static_cast<std::uint32_t>(region / protocol::kRegionUnit);
  const protocol::MessageCheck check =
      protocol::permit_check(check_of(protocol::permit_kind(first)), signature, unit);
  put(op.permit_at(receiver_), first + 1U, unit);
  put(op.permit_at(receiver_), first + 2U, check.value());
  put(op.permit_at(receiver_), first, signature);
}

void HandMadePeer::progress(int channel, std::uint64_t content) const {
  protocol::OperationArgs op = op_;
  op.epoch = tag_;
  *op_.progress_at(receiver_, channel) =
      op.progress_word(check_of(MessageKind::kProgress), channel, content);
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

void RoleTest::expect_progress(const runtime::Operation& operation,
                               int to,
                               int channel,
                               std::uint64_t content) const {
  const protocol::OperationArgs& op = operation.args_op();
  EXPECT_EQ(*op.progress_at(to, channel),
            op.progress_word(op.check_to(to, MessageKind::kProgress), channel, content));
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
