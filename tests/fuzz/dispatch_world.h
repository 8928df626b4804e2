// A dispatch of rank 1 of 3, its true peers' messages, and all of its roles.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "csrc/protocol/count_exchange.h"
#include "csrc/protocol/scale_up_receive.h"
#include "csrc/protocol/scale_up_send.h"
#include "tests/fuzz/fuzz_world.h"

namespace switchyard::fuzz {

struct DispatchChoice {
  Layout layout = Layout::kRankMajor;
  bool along_handle = false;  ///< not padded
  bool to_output = false;     ///< into memory of the caller
};

class FuzzedDispatch {
 public:
  /// The world is reset first.
  FuzzedDispatch(FuzzWorld& world, const DispatchChoice& choice);

  /// Every message of the other two ranks: three rows each from rank 0 and 2, by expert one and
  /// two.
  void tell_the_truth() const;
  /// Metadata in the landing keeps the checks that lie there; else they are made to fit.
  void keep_metadata_checks() { seals_metadata_ = false; }
  /// Steps all roles as far as they go.
  void run();
  /// What must hold whatever peers say.
  void check() const;

  [[nodiscard]] runtime::DispatchOperation& operation() const { return *operation_; }
  [[nodiscard]] MailboxEnds ends() const;
  [[nodiscard]] bool row_per_expert() const { return operation_->args.problem.row_per_expert(); }

 private:
  [[nodiscard]] DispatchRequest request(const DispatchChoice& choice);
  void check_placement() const;

  FuzzWorld& world_;
  bool padded_;
  bool along_handle_;
  bool seals_metadata_ = true;
  std::vector<std::uint64_t> x_;    // 8-byte units, for alignment of rows
  std::vector<std::uint64_t> out_;  // of exactly the rows that it is said to hold
  std::shared_ptr<runtime::DispatchOperation> operation_;
  std::unique_ptr<FuzzedRole<protocol::CountExchange>> exchange_;
  std::vector<std::unique_ptr<FuzzedRole<protocol::ScaleUpSend>>> senders_;
  std::vector<std::unique_ptr<FuzzedRole<protocol::ScaleUpReceive>>> receivers_;
};

}  // namespace switchyard::fuzz
