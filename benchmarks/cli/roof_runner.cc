#include "benchmarks/cli/roof_runner.h"

#include <utility>

#include "csrc/runtime/buffer_state.h"

namespace switchyard::bench {

RoofRunner::RoofRunner(StartLine& start_line,
                       const Buffer& buffer,
                       std::shared_ptr<const Reference> reference,
                       const RankInputs& inputs,
                       int num_threads)
    : start_line_(start_line),
      buffer_(buffer),
      reference_(std::move(reference)),
      inputs_(inputs),
      crew_(num_threads) {}

std::vector<std::byte*> RoofRunner::of_all_ranks(const void* data) {
  const protocol::Peers& heaps = runtime::BufferState::heaps_of(buffer_);
  const std::int64_t offset = static_cast<const std::byte*>(data) - heaps.local(0);
  const std::vector<std::int64_t> offsets = start_line_.gather(heaps.rank, offset);
  std::vector<std::byte*> places;
  for (int rank = 0; rank < heaps.num_ranks; ++rank) {
    places.push_back(
        heaps.at(rank, static_cast<std::uint64_t>(offsets[static_cast<std::size_t>(rank)])));
  }
  return places;
}

void RoofRunner::aim(const ConstTensorView& landed,
                     const ConstTensorView& outputs,
                     const TensorView& sums) {
  const std::vector<std::byte*> landed_now = of_all_ranks(landed.data);
  if (landed_now != landed_) {
    dispatch_.emplace(*reference_, inputs_.x(), landed_now);
    landed_ = landed_now;
  }
  const std::vector<std::byte*> outputs_now = of_all_ranks(outputs.data);
  const std::vector<const std::byte*> read(outputs_now.begin(), outputs_now.end());
  if (outputs_now != outputs_ || sums.data != sums_) {
    combine_.emplace(*reference_, read, sums);
    outputs_ = outputs_now;
    sums_ = sums.data;
  }
}

void RoofRunner::run_dispatch(RoofCopy copy) {
  crew_.run([&](int share, int num_shares) { dispatch_->run(copy, share, num_shares); });
}

void RoofRunner::run_combine(RoofCopy copy) {
  crew_.run([&](int share, int num_shares) { combine_->run(copy, share, num_shares); });
}

}  // namespace switchyard::bench
