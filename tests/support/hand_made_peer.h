// One role at a time: a rank whose operations are real, peers whose messages are written by hand,
// and the expectations of Receive / Expect tests.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <vector>

#include "benchmarks/sim/world.h"

namespace switchyard::test {

/// What `peer` sends to the rank of an operation. Every word is visible at once.
class HandMadePeer {
 public:
  HandMadePeer(const protocol::OperationArgs& receiver, int peer);

  /// The tag of further words: another operation than the receiver's.
  HandMadePeer& in_epoch(std::uint32_t epoch);

  void hello_head(std::uint32_t signature,
                  protocol::Status status = protocol::Status::kAccepted,
                  std::uint32_t needed = 0,
                  std::uint32_t available = 0) const;
  /// One word, whatever the check says.
  void hello_word(std::uint32_t index, std::int64_t value) const;
  /// A whole hello of a dispatch, accepted.
  void counts(std::int32_t rows, std::initializer_list<std::int32_t> per_expert) const;
  /// A whole hello of a combine, accepted; heap offsets in bytes.
  void announcement(std::uint64_t rows_at,
                    std::uint64_t row_weights_at = 0,
                    std::uint64_t row_topk_weights_at = 0) const;

  void answer_head(protocol::Status status = protocol::Status::kAccepted,
                   std::uint32_t needed = 0,
                   std::uint32_t available = 0) const;
  void answer_word(std::uint32_t index, std::int64_t value) const;
  /// A whole answer, accepted; region in bytes.
  void answer(std::uint64_t region,
              std::int32_t num_rows,
              std::initializer_list<std::int32_t> bases) const;
  /// The same in place of a hello: a dispatch along a handle.
  void hello_answer(std::uint64_t region, std::int32_t num_rows) const;

  /// Leave to fill `region`: for this epoch (kPermitSignatureWord) or the next
  /// (kNextSignatureWord).
  void permit(protocol::PermitWord first, std::uint32_t signature, std::uint64_t region) const;
  /// `content`: where the rows are, in kRegionUnit, or kRowsRead.
  void progress(int channel, std::uint64_t content) const;

 private:
  struct HeadNumbers {
    protocol::Status status;
    std::uint32_t needed;
    std::uint32_t available;
  };

  /// Both end with their check.
  void head(protocol::MessageKind kind,
            protocol::Word* mailbox,
            std::uint32_t signature,
            const HeadNumbers& numbers) const;
  void body(protocol::MessageKind kind,
            protocol::Word* mailbox,
            const std::vector<std::int64_t>& values) const;
  [[nodiscard]] protocol::MessageCheck check_of(protocol::MessageKind kind) const {
    return {kind, tag_, op_.peers.rank, receiver_};
  }
  void put(protocol::Word* mailbox, std::uint32_t index, std::int64_t value) const;

  int receiver_;
  protocol::OperationArgs op_;  // as the peer has it
  std::uint32_t tag_;
};

/// Three ranks, of which only kMe is real.
class RoleTest : public ::testing::Test {
 protected:
  static constexpr int kMe = 1;
  static constexpr int kNumRanks = 3;
  static constexpr int kNumExperts = 6;
  static constexpr int kHidden = 8;
  static constexpr std::size_t kRowBytes = 16;  // bf16

  explicit RoleTest(const sim::WorldOptions& options = default_options()) : world_(options) {}

  static sim::WorldOptions default_options() {
    sim::WorldOptions options;
    options.num_ranks = kNumRanks;
    options.num_channels = 2;
    options.first_epoch = 20;  // earlier operations have used the slots
    return options;
  }

  /// Issues a dispatch of tokens with these experts; `change` sets what is special about it.
  struct NoChange {
    void operator()(DispatchRequest& /*request*/) const {}
  };
  template <class Change = NoChange>
  std::shared_ptr<runtime::DispatchOperation> dispatch(
      const std::vector<std::vector<std::int32_t>>& experts,
      Layout layout = Layout::kRankMajor,
      const Change& change = {}) {
    DispatchRequest request = make_request(experts, layout);
    change(request);
    return world_.rank(kMe).issue(request);
  }

  [[nodiscard]] sim::SimRole& role(const runtime::Operation& operation,
                                   protocol::RoleKind kind,
                                   int channel = 0);
  [[nodiscard]] static HandMadePeer peer(const runtime::Operation& operation, int rank) {
    return {operation.args_op(), rank};
  }

  /// Steps until the role is blocked or done; then makes visible what it stored.
  protocol::Progress run(sim::SimRole& role);
  void expect_blocked(sim::SimRole& role, protocol::WaitKind kind, int peer);
  void expect_done(sim::SimRole& role);
  /// The operation ended with this failure, and nobody is told to go on.
  void expect_failed(const runtime::Operation& operation, const protocol::Failure& failure) const;

  /// The word that kMe sent: tagged with the operation's epoch, and its value.
  void expect_sent(const protocol::Word* at,
                   const runtime::Operation& operation,
                   std::int64_t value) const;
  /// `channel` of kMe told `to` that it is done, about what `content` says.
  void expect_progress(const runtime::Operation& operation,
                       int to,
                       int channel,
                       std::uint64_t content) const;
  /// No word of the operation is there.
  void expect_not_sent(const protocol::Word* at, const runtime::Operation& operation) const;

  /// Row `token` of the request's x.
  [[nodiscard]] const std::byte* x_row(std::size_t token) const {
    return x_.data() + token * kRowBytes;
  }
  /// A region of a peer's heap.
  [[nodiscard]] std::uint64_t allocate(int rank, std::uint64_t bytes) {
    return world_.rank(rank).allocate(bytes);
  }
  [[nodiscard]] std::byte* at(int rank, std::uint64_t offset) {
    return world_.rank(rank).at(offset);
  }

  sim::World world_;

 private:
  DispatchRequest make_request(const std::vector<std::vector<std::int32_t>>& experts,
                               Layout layout);

  std::vector<std::byte> x_;
  std::vector<std::int32_t> topk_idx_;
};

}  // namespace switchyard::test
