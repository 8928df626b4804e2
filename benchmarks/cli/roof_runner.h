// The copy roofs of one rank, beside its operations: the same rows at the same places, the same
// number of threads.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "benchmarks/cli/crew.h"
#include "benchmarks/cli/start_line.h"
#include "benchmarks/common/reference.h"
#include "benchmarks/common/roof.h"
#include "benchmarks/common/token_data.h"
#include "switchyard/buffer.h"

namespace switchyard::bench {

/// Writes to the very memory that the operations use: how fast pages are written depends on where
/// in memory they lie, by more than what is to be measured.
/// measured: deepseek-v3-train, 1024 tokens, 4 ranks on 2 cores: the same copies into two heaps
///   made alike, in turns: 2.87 and 2.64, 2.71 and 2.65, 2.76 and 2.82, 2.84 and 2.73 ms in four
///   processes; 2026-11-24
class RoofRunner {
 public:
  /// `start_line`, `buffer`, `reference` and `inputs` outlive this object; `num_threads` as the
  /// operation's workers.
  RoofRunner(StartLine& start_line,
             const Buffer& buffer,
             std::shared_ptr<const Reference> reference,
             const RankInputs& inputs,
             int num_threads);

  /// Where the next runs read and write: the rows of a dispatch, the experts' outputs and the sums
  /// of a combine, all of which stay valid until the last rank has run. Collective.
  void aim(const ConstTensorView& landed, const ConstTensorView& outputs, const TensorView& sums);

  void run_dispatch(RoofCopy copy);
  void run_combine(RoofCopy copy);

 private:
  /// Address of every rank's `data`, which lies in its heap.
  [[nodiscard]] std::vector<std::byte*> of_all_ranks(const void* data);

  StartLine& start_line_;
  const Buffer& buffer_;
  std::shared_ptr<const Reference> reference_;
  const RankInputs& inputs_;
  std::vector<std::byte*> landed_;
  std::vector<std::byte*> outputs_;
  const void* sums_ = nullptr;
  std::optional<DispatchRoof> dispatch_;
  std::optional<CombineRoof> combine_;
  Crew crew_;
};

}  // namespace switchyard::bench
