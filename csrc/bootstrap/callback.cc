#include <utility>

#include "csrc/bootstrap/contract.h"
#include "switchyard/bootstrap.h"
#include "switchyard/error.h"

namespace switchyard {
namespace {

class CallbackBootstrap final : public Bootstrap {
 public:
  CallbackBootstrap(int rank, int num_ranks, AllGatherFn all_gather)
      : rank_(rank), num_ranks_(num_ranks), all_gather_(std::move(all_gather)) {}

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int num_ranks() const override { return num_ranks_; }

  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) override {
    bootstrap::check_gather_sizes(mine.size(), all.size(), num_ranks_);
    // The lengths go first: MPI_Allgather and its like corrupt memory, or wait for ever, when they
    // differ.
    const std::uint64_t bytes = mine.size();
    std::vector<std::uint64_t> bytes_of_rank(static_cast<std::size_t>(num_ranks_));
    all_gather_(std::as_bytes(std::span(&bytes, 1)),
                std::as_writable_bytes(std::span(bytes_of_rank)));
    if (const auto problem = bootstrap::length_problem(bytes_of_rank); !problem.empty()) {
      throw BootstrapError(problem);
    }
    if (!mine.empty()) {
      all_gather_(mine, all);
    }
  }

 private:
  int rank_;
  int num_ranks_;
  AllGatherFn all_gather_;
};

}  // namespace

std::unique_ptr<Bootstrap> make_callback_bootstrap(int rank,
                                                   int num_ranks,
                                                   AllGatherFn all_gather) {
  bootstrap::check_rank(rank, num_ranks);
  if (!all_gather) {
    throw InvalidArgument("all_gather: got an empty function, wanted the caller's own all-gather");
  }
  return std::make_unique<CallbackBootstrap>(rank, num_ranks, std::move(all_gather));
}

}  // namespace switchyard
