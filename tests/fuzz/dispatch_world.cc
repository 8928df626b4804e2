#include "tests/fuzz/dispatch_world.h"

#include "tests/support/seal_metadata.h"

namespace switchyard::fuzz {
namespace {

constexpr int kNumTokens = 4;
constexpr int kTopk = 2;
constexpr std::array<std::int32_t, kNumTokens* kTopk> kExperts = {0, 5, 3, 2, -1, 1, 4, 4};
constexpr int kMaxTokens = 8;
constexpr std::int64_t kOutputRows = 12;
constexpr std::uint64_t kPeerRows = 24;  // of a true peer's landing

/// A handle as a dispatch with true peers leaves it.
std::shared_ptr<const runtime::HandleState> finished_handle(FuzzWorld& world, Layout layout) {
  FuzzedDispatch counted(world, {.layout = layout});
  counted.tell_the_truth();
  counted.run();
  expect(counted.operation().flags.placed == 1, "true peers are believed");
  return counted.operation().handle;
}

}  // namespace

FuzzedDispatch::FuzzedDispatch(FuzzWorld& world, const DispatchChoice& choice)
    : world_(world),
      padded_(choice.layout == Layout::kPadded),
      along_handle_(choice.along_handle && !padded_),
      x_(kNumTokens * kRowBytes / sizeof(std::uint64_t)) {
  const auto previous = along_handle_ ? finished_handle(world, choice.layout)
                                      : std::shared_ptr<const runtime::HandleState>();
  world.reset();
  operation_ = runtime::make_dispatch(world.context(), request(choice), previous);
  const protocol::DispatchArgs* args = &operation_->args;
  exchange_ = std::make_unique<FuzzedRole<protocol::CountExchange>>(args);
  for (int channel = 0; channel < kNumChannels; ++channel) {
    senders_.push_back(std::make_unique<FuzzedRole<protocol::ScaleUpSend>>(args, channel));
    receivers_.push_back(std::make_unique<FuzzedRole<protocol::ScaleUpReceive>>(args, channel));
  }
}

DispatchRequest FuzzedDispatch::request(const DispatchChoice& choice) {
  DispatchRequest request;
  request.x = {x_.data(), DType::kBf16, {kNumTokens, kHidden}};
  if (!along_handle_) {
    request.topk_idx = {kExperts.data(), DType::kInt32, {kNumTokens, kTopk}};
    request.num_experts = kNumExperts;
    request.layout = choice.layout;
    request.max_tokens = padded_ ? kMaxTokens : 0;
    request.expert_alignment = choice.layout == Layout::kExpertMajor ? 4 : 1;
    request.zero_padding = choice.layout == Layout::kExpertMajor;
  }
  if (choice.to_output) {
    const std::int64_t rows =
        padded_ ? std::int64_t{kNumExperts} * kMaxTokens : std::int64_t{kOutputRows};
    out_.resize(static_cast<std::size_t>(rows) * kRowBytes / sizeof(std::uint64_t));
    request.out_x = {out_.data(), DType::kBf16, {rows, kHidden}};
  }
  return request;
}

void FuzzedDispatch::tell_the_truth() const {
  const protocol::DispatchArgs& args = operation_->args;
  const std::uint64_t region = world_.first_region() / protocol::kRegionUnit;
  for (const int rank : {0, 2}) {
    const TruePeer peer(args.op, rank);
    const auto rows_there =
        static_cast<std::uint64_t>(args.placement.rows_of_rank[along_handle_ ? rank : 0]);
    if (along_handle_) {
      peer.hello({region, rows_there});
    } else {
      peer.hello({row_per_expert() ? 3U : 2U, 1, 2});
      std::vector<std::uint64_t> answer{region, kPeerRows, 0, kPeerRows / 2};
      answer.resize(ends().answer - protocol::kNumHeadWords);
      peer.answer(answer);
      peer.permit(args.padded.signature, world_.first_region());
    }
    peer.progress(region);
  }
}

MailboxEnds FuzzedDispatch::ends() const {
  const protocol::DispatchProblem& problem = operation_->args.problem;
  return {along_handle_
              ? protocol::kFirstBaseWord
              : protocol::kFirstCountWord + static_cast<std::uint32_t>(problem.experts_per_rank),
          protocol::kFirstBaseWord + static_cast<std::uint32_t>(problem.bases_per_rank()),
          operation_->args.padded.signature};
}

void FuzzedDispatch::run() {
  exchange_->run(world_.warp());
  for (int source = 0; source < kNumRanks && seals_metadata_ && operation_->flags.counted != 0;
       ++source) {
    test::seal_metadata(operation_->args, source);
  }
  for (const auto& sender : senders_) {
    sender->run(world_.warp());
  }
  for (const auto& receiver : receivers_) {
    receiver->run(world_.warp());
  }
}

void FuzzedDispatch::check() const {
  world_.expect_control_blocks_intact();
  if (operation_->flags.placed != 0) {
    check_placement();
  }
  if (operation_->flags.counted != 0) {
    const protocol::DispatchArgs& args = operation_->args;
    const std::int64_t rows = *args.landing.num_rows;
    expect(rows >= 0, "a landing of fewer than no rows");
    expect(*args.landing.region >= world_.first_region() &&
               *args.landing.region + args.landing_of(rows).region_bytes() <= world_.heap_bytes(),
           "a landing outside the heap");
  }
}

void FuzzedDispatch::check_placement() const {
  const protocol::DispatchArgs& args = operation_->args;
  const std::int32_t bases = args.problem.bases_per_rank();
  for (int rank = 0; rank < kNumRanks; ++rank) {
    if (args.routing.rows_per_rank[rank] == 0) {
      continue;
    }
    const std::int32_t rows = args.placement.rows_of_rank[rank];
    const std::uint64_t region = args.placement.region_of_rank[rank];
    expect(rows >= 0 && region >= world_.first_region() &&
               region + args.landing_of(rows).region_bytes() <= world_.heap_bytes(),
           "rows may go outside of a heap");
    for (std::int32_t i = 0; i < bases; ++i) {
      const std::int32_t base = args.placement.base[rank * bases + i];
      expect(base >= 0 && base <= rows, "rows may go outside of a landing");
    }
  }
}

}  // namespace switchyard::fuzz
