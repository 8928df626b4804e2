// Announcements and progress words of a combine, true ones with changes or none at all.
#include <array>

#include "csrc/protocol/combine_accumulate.h"
#include "csrc/protocol/combine_announce.h"
#include "csrc/protocol/combine_copy_in.h"
#include "tests/fuzz/fuzz_world.h"

namespace {

using namespace switchyard::fuzz;  // NOLINT(google-build-using-namespace): one program, one target
using switchyard::CombineRequest;
using switchyard::DType;
using switchyard::Layout;
namespace protocol = switchyard::protocol;
namespace runtime = switchyard::runtime;

constexpr std::int64_t kRowsHere = 3;
constexpr int kNumTokens = 4;
constexpr int kTopk = 2;

/// The tokens of rank 1, and what landed there, as their dispatch left them.
std::shared_ptr<const runtime::HandleState> make_handle(Layout layout) {
  static const std::array<std::int32_t, kNumTokens* kTopk> experts = {0, 5, 3, -1, -1, -1, 4, 1};
  auto route = std::make_shared<runtime::SourceRoute>();
  route->route =
      switchyard::routing::make_route({kNumTokens, kTopk, kNumExperts, kNumRanks, kNumRanks},
                                      {experts.data(), DType::kInt32, {kNumTokens, kTopk}},
                                      layout != Layout::kRankMajor);
  auto handle = std::make_shared<runtime::HandleState>();
  handle->source = route;
  handle->layout = layout;
  handle->num_ranks = kNumRanks;
  handle->prepare_tables(kMe, 1);
  handle->num_rows = kRowsHere;
  handle->rows_of_rank = {4, kRowsHere, 3};
  handle->rows_from = {2, 1, 0};
  if (layout == Layout::kRankMajor) {
    handle->base = {2, 2, 0};
    handle->base_from = {0, 2, 3};
  } else {
    handle->base = {1, 2, 0, 2, 0, 1};
    handle->base_from = {0, 1, 1, 2, 1, 3};
    handle->counts_from = {1, 1, 0, 1, 0, 0};
  }
  return handle;
}

/// What the caller of a combine holds.
struct CallerMemory {
  alignas(16) std::array<std::byte, kRowsHere * kRowBytes> rows{};
  std::array<float, kRowsHere> weights{};
  std::array<float, kRowsHere * kTopk> topk_weights{};
};

std::shared_ptr<runtime::CombineOperation> make_operation(FuzzWorld& world,
                                                          FuzzInput& input,
                                                          CallerMemory& memory) {
  const Layout layout = input.flip() ? Layout::kExpertMajor : Layout::kRankMajor;
  const std::byte* rows = memory.rows.data();
  if (input.flip()) {
    rows = world.peers().local(*world.arena().allocate(memory.rows.size()));
  }
  CombineRequest request;
  request.x = {rows, DType::kBf16, {kRowsHere, kHidden}};
  if (input.flip()) {
    request.row_weights = {memory.weights.data(), DType::kFp32, {kRowsHere}};
    request.row_topk_weights = {memory.topk_weights.data(),
                                DType::kFp32,
                                {kRowsHere, layout == Layout::kRankMajor ? kTopk : 1}};
  }
  return runtime::make_combine(world.context(), request, make_handle(layout));
}

void tell_the_truth(const FuzzWorld& world, const protocol::OperationArgs& op) {
  const std::uint64_t rows_at = world.first_region() / protocol::kRowUnit;
  for (const int rank : {0, 2}) {
    const TruePeer peer(op, rank);
    peer.hello({rows_at, rows_at + 16, rows_at + 32});
    peer.progress(protocol::kRowsRead);
  }
}

void check(const FuzzWorld& world, const runtime::CombineOperation& operation) {
  world.expect_control_blocks_intact();
  if (operation.flags.placed == 0) {
    return;
  }
  const protocol::Contributions& from = operation.args.contributions;
  for (int rank = 0; rank < kNumRanks; ++rank) {
    const auto bytes = static_cast<std::uint64_t>(from.rows_of_rank[rank]) * kRowBytes;
    expect(from.rows_at[rank] >= world.first_region(), "a control block may be read for rows");
    expect(from.rows_at[rank] + bytes <= world.heap_bytes(), "rows may be read outside of a heap");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static FuzzWorld world;
  FuzzInput input(data, size);
  world.reset();
  CallerMemory memory;
  const auto operation = make_operation(world, input, memory);
  const protocol::CombineArgs* args = &operation->args;
  FuzzedRole<protocol::CombineAnnounce> announce(args);
  FuzzedRole<protocol::CombineCopyIn> copies[] = {FuzzedRole<protocol::CombineCopyIn>(args, 0),
                                                  FuzzedRole<protocol::CombineCopyIn>(args, 1)};
  FuzzedRole<protocol::CombineAccumulate> sums[] = {
      FuzzedRole<protocol::CombineAccumulate>(args, 0),
      FuzzedRole<protocol::CombineAccumulate>(args, 1)};
  if (input.flip()) {
    tell_the_truth(world, args->op);
  }
  do {
    FuzzWorld::scribble(input, {protocol::kNumAnnounceWords, protocol::kFirstBaseWord}, args->op);
    announce.run(world.warp());
    for (int channel = 0; channel < kNumChannels; ++channel) {
      if (args->copies_in()) {
        copies[channel].run(world.warp());
      }
      announce.run(world.warp());
      sums[channel].run(world.warp());
    }
    check(world, *operation);
  } while (!input.empty());
  return 0;
}
