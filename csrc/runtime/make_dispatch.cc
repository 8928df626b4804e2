// From a DispatchRequest to the arguments of its roles.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "csrc/protocol/roles.h"
#include "csrc/runtime/operation.h"
#include "csrc/runtime/validate.h"
#include "switchyard/error.h"

namespace switchyard::runtime {
namespace {

constexpr std::size_t kRowAlignment = protocol::kPartAlignment;

std::int64_t ceil_div(std::int64_t value, std::int64_t divisor) {
  return (value + divisor - 1) / divisor;
}

void check_experts(const OperationContext& context, int num_experts) {
  const int ranks = context.world_ranks();
  if (num_experts <= 0 || num_experts % ranks != 0) {
    refuse("num_experts",
           fmt::format("{}", num_experts),
           fmt::format("a positive multiple of the {} ranks{}",
                       ranks,
                       context.membership.whole() ? "" : " of the world"));
  }
  if (num_experts > context.config->max_experts) {
    refuse("num_experts",
           fmt::format("{}", num_experts),
           fmt::format("at most Config::max_experts = {}; raise it on every rank",
                       context.config->max_experts));
  }
}

/// Values that a cast from a number can make.
void check_layout(Layout layout) {
  if (layout > Layout::kPadded) {
    refuse("layout",
           fmt::format("{}", static_cast<int>(layout)),
           "kRankMajor, kExpertMajor or kPadded");
  }
}

void check_quantize(Quantize quantize) {
  if (quantize > Quantize::kFp8ScalesUe8m0) {
    refuse("quantize",
           fmt::format("{}", static_cast<int>(quantize)),
           "kNone, kFp8ScalesFp32 or kFp8ScalesUe8m0");
  }
}

void check_layout_options(const DispatchRequest& request, std::int64_t num_tokens) {
  check_layout(request.layout);
  const bool padded = request.layout == Layout::kPadded;
  if (padded && request.max_tokens < num_tokens) {
    refuse("max_tokens",
           fmt::format("{}", request.max_tokens),
           fmt::format("at least the {} tokens of this rank (padded layout)", num_tokens));
  }
  if (!padded && request.max_tokens != 0) {
    refuse("max_tokens",
           fmt::format("{} with layout {}", request.max_tokens, layout_name(request.layout)),
           "0, or layout padded");
  }
  if (request.expert_alignment < 1 ||
      (request.expert_alignment != 1 && request.layout != Layout::kExpertMajor)) {
    refuse("expert_alignment",
           fmt::format("{} with layout {}", request.expert_alignment, layout_name(request.layout)),
           "1, or more with layout expert-major");
  }
  if (request.zero_padding && request.layout != Layout::kExpertMajor) {
    refuse("zero_padding",
           fmt::format("true with layout {}", layout_name(request.layout)),
           "false, or layout expert-major");
  }
}

const ConstTensorView& check_topk(const DispatchRequest& request, std::int64_t num_tokens) {
  if (!request.topk_idx.given()) {
    refuse("topk_idx", "nothing", "a tensor, or a handle to dispatch along");
  }
  const ConstTensorView& topk = request.topk_idx;
  if ((topk.dtype != DType::kInt32 && topk.dtype != DType::kInt64)) {
    refuse("topk_idx dtype", dtype_name(topk.dtype), "int32 or int64");
  }
  if (topk.ndim != 2 || topk.shape[0] != num_tokens || topk.shape[1] < 1 ||
      topk.shape[1] > kMaxTopk) {
    refuse("topk_idx shape",
           topk.ndim == 2 ? fmt::format("[{}, {}]", topk.shape[0], topk.shape[1])
                          : fmt::format("{} dimensions", topk.ndim),
           fmt::format("[{}, 1 to {}]", num_tokens, kMaxTopk));
  }
  if (topk.data == nullptr && num_tokens > 0) {
    refuse("topk_idx data", "null", "a pointer to its elements");
  }
  if (reinterpret_cast<std::uintptr_t>(topk.data) % dtype_bytes(topk.dtype) != 0) {
    refuse("topk_idx data",
           fmt::format("address {}", topk.data),
           fmt::format("an address aligned to the {} bytes of {}",
                       dtype_bytes(topk.dtype),
                       dtype_name(topk.dtype)));
  }
  return topk;
}

Rows check_topk_weights(const DispatchRequest& request, const routing::RouteShape& shape) {
  return check_rows(request.topk_weights,
                    {.name = "topk_weights",
                     .dtypes = {DType::kFp32},
                     .num_rows = shape.num_tokens,
                     .num_cols = shape.topk,
                     .alignment = sizeof(float)});
}

/// Reads the caller's routing into a SourceRoute; on a device, only what its shape tells.
std::shared_ptr<const SourceRoute> read_route(const OperationContext& context,
                                              const DispatchRequest& request,
                                              std::int64_t num_tokens) {
  const ConstTensorView& topk = check_topk(request, num_tokens);
  const int num_ranks = context.op.num_sources();
  const int experts_per_rank = request.num_experts / context.world_ranks();
  const routing::RouteShape shape{static_cast<int>(num_tokens),
                                  static_cast<int>(topk.shape[1]),
                                  experts_per_rank * num_ranks,
                                  num_ranks,
                                  context.op.peers.num_ranks};
  const bool row_per_expert = request.layout != Layout::kRankMajor;
  auto source = std::make_shared<SourceRoute>();
  source->index_dtype = topk.dtype;
  source->weighted = request.topk_weights.given();
  const Rows weights = source->weighted ? check_topk_weights(request, shape) : Rows{};
  if (context.on_device) {
    source->route.shape = shape;
    source->route.row_per_expert = row_per_expert;
    return source;
  }
  source->route =
      routing::make_route(shape, topk, row_per_expert, expert_map(context, request.num_experts));
  if (source->weighted) {
    source->weight.resize(source->route.expert.size());
    pack_rows(weights, static_cast<std::size_t>(shape.topk) * sizeof(float), source->weight.data());
  }
  return source;
}

/// The handle of a dispatch about to be counted, or of one that follows an earlier route.
std::shared_ptr<HandleState> make_handle(const OperationContext& context,
                                         const DispatchRequest& request,
                                         const std::shared_ptr<const HandleState>& previous,
                                         const Rows& x) {
  if (previous != nullptr) {
    if (request.topk_idx.given() || request.topk_weights.given()) {
      refuse("topk_idx or topk_weights", "a tensor beside a handle", "one or the other");
    }
    if (x.num_rows != previous->shape().num_tokens) {
      refuse("x shape",
             fmt::format("[{}, {}]", x.num_rows, x.num_cols),
             fmt::format("[{}, any]: the tokens of the handle", previous->shape().num_tokens));
    }
    return std::make_shared<HandleState>(*previous);
  }
  check_experts(context, request.num_experts);
  check_layout_options(request, x.num_rows);
  auto handle = std::make_shared<HandleState>();
  handle->buffer_id = context.buffer_id;
  handle->epoch = context.epoch;
  handle->layout = request.layout;
  handle->named_experts = request.num_experts;
  handle->hidden = static_cast<int>(x.num_cols);
  handle->num_ranks = context.op.num_sources();
  handle->place = context.op.place;
  handle->max_tokens = request.max_tokens;
  handle->expert_alignment = request.expert_alignment;
  handle->zero_padding = request.zero_padding;
  handle->source = read_route(context, request, x.num_rows);
  const std::int64_t padded_rows =
      std::int64_t{request.num_experts} * std::int64_t{request.max_tokens};
  if (padded_rows > std::numeric_limits<std::int32_t>::max()) {
    refuse("max_tokens",
           fmt::format("{} ({} places)", request.max_tokens, padded_rows),
           "num_experts * max_tokens below 2^31");
  }
  if (!context.on_device) {
    handle->prepare_tables(context.op.peers.rank, context.op.num_channels);
  }
  return handle;
}

struct Scales {
  std::int64_t words = 0;  ///< 32-bit words a row
  DType dtype = DType::kFp32;
  Rows rows;  ///< given by the caller
};

Scales check_scales(const DispatchRequest& request, const Rows& x) {
  check_quantize(request.quantize);
  Scales scales;
  const bool fp8 = request.x.dtype == DType::kFp8E4m3;
  if (request.quantize != Quantize::kNone) {
    if (request.x.dtype != DType::kBf16 || request.scales.given()) {
      refuse(
          "quantize",
          fmt::format(
              "x {}{}", dtype_name(request.x.dtype), request.scales.given() ? " with scales" : ""),
          "bf16 rows without scales");
    }
    const bool packed = request.quantize == Quantize::kFp8ScalesUe8m0;
    scales.dtype = packed ? DType::kUe8m0x4 : DType::kFp32;
    scales.words = ceil_div(x.num_cols, packed ? 4 * kScaleBlockElems : kScaleBlockElems);
  } else if (request.scales.given()) {
    if (!fp8) {
      refuse("scales",
             fmt::format("a tensor beside {} rows", dtype_name(request.x.dtype)),
             "fp8_e4m3 rows");
    }
    const bool packed = request.scales.dtype == DType::kUe8m0x4;
    scales.dtype = request.scales.dtype;
    scales.words = ceil_div(x.num_cols, packed ? 4 * kScaleBlockElems : kScaleBlockElems);
    scales.rows = check_rows(request.scales,
                             {.name = "scales",
                              .dtypes = {DType::kFp32, DType::kUe8m0x4},
                              .num_rows = x.num_rows,
                              .num_cols = scales.words,
                              .alignment = sizeof(std::uint32_t)});
  }
  return scales;
}

protocol::ScaleFormat scale_format(Quantize quantize) {
  switch (quantize) {
    case Quantize::kNone:
      return protocol::ScaleFormat::kNone;
    case Quantize::kFp8ScalesFp32:
      return protocol::ScaleFormat::kFp32;
    case Quantize::kFp8ScalesUe8m0:
      return protocol::ScaleFormat::kUe8m0;
  }
  return protocol::ScaleFormat::kNone;
}

void check_row_bytes(const Rows& x, DType dtype) {
  const std::uint64_t bytes = static_cast<std::uint64_t>(x.num_cols) * dtype_bytes(dtype);
  if (bytes == 0 || bytes % kRowAlignment != 0 || bytes > (std::uint64_t{1} << 30U)) {
    refuse("x row bytes",
           fmt::format("{} elements of {} = {} bytes", x.num_cols, dtype_name(dtype), bytes),
           fmt::format("a positive multiple of {} bytes up to 1 GiB", kRowAlignment));
  }
}

void fill_problem(DispatchOperation& operation,
                  const OperationContext& context,
                  const DispatchRequest& request,
                  const Scales& scales,
                  bool follows) {
  const HandleState& handle = *operation.handle;
  protocol::DispatchProblem& problem = operation.args.problem;
  problem.num_tokens = handle.shape().num_tokens;
  problem.topk = handle.shape().topk;
  problem.num_experts = handle.shape().num_experts;
  problem.experts_per_rank = handle.shape().experts_per_rank();
  problem.max_tokens = handle.max_tokens;
  problem.expert_alignment = handle.expert_alignment;
  problem.hidden = static_cast<std::uint32_t>(request.x.shape[1]);
  problem.layout = handle.layout;
  problem.quantize = scale_format(request.quantize);
  problem.expert_copies = context.config->expert_copies;
  problem.zero_padding = handle.zero_padding;
  problem.counted_before =
      follows && handle.layout != Layout::kPadded && handle.place.num_nodes == 1;
  problem.packet.payload_bytes =
      problem.hidden * static_cast<std::uint32_t>(dtype_bytes(operation.out_dtype));
  problem.packet.scales_bytes = static_cast<std::uint32_t>(protocol::round_up(
      static_cast<std::uint64_t>(scales.words) * sizeof(std::uint32_t), kRowAlignment));
  problem.packet.index_bytes = static_cast<std::uint32_t>(dtype_bytes(handle.source->index_dtype));
  problem.packet.num_entries =
      problem.layout == Layout::kRankMajor ? static_cast<std::uint32_t>(problem.topk) : 1;
  std::uint64_t rows = 0;
  for (const std::int32_t count : handle.source->route.rows_per_rank) {
    rows += static_cast<std::uint64_t>(count);
  }
  problem.copy_hint = rows * problem.packet.payload_bytes >= kStreamFromBytes
                          ? protocol::CopyHint::kStream
                          : protocol::CopyHint::kKeep;
  const std::uint32_t landing_shape[] = {static_cast<std::uint32_t>(operation.args.padded_rows()),
                                         problem.packet.payload_bytes,
                                         problem.packet.scales_bytes,
                                         problem.packet.metadata_bytes()};
  operation.args.padded.signature = hash_words(landing_shape, std::size(landing_shape));
}

void fill_tables(DispatchOperation& operation) {
  HandleState& handle = *operation.handle;
  protocol::DispatchArgs& args = operation.args;
  args.op.flags = &operation.flags;
  args.op.failure = &operation.failure;
  const routing::Route& route = handle.source->route;
  args.routing = {route.expert.data(),
                  route.rank.data(),
                  route.opener.data(),
                  route.ordinal.data(),
                  handle.source->weighted ? handle.source->weight.data() : nullptr,
                  route.rows_per_rank.data(),
                  route.tokens_per_expert.data(),
                  route.has_duplicates,
                  handle.packets.data()};
  operation.region_of_rank.resize(handle.rows_of_rank.size());
  args.placement = {
      operation.region_of_rank.data(), handle.rows_of_rank.data(), handle.base.data()};
  args.relay = {handle.relayed_packets.data(), handle.relayed_rows.data()};
  args.landing = {handle.rows_from.data(),
                  handle.counts_from.data(),
                  handle.base_from.data(),
                  handle.expert_offsets.data(),
                  &handle.num_rows,
                  &operation.region};
}

/// Bytes of metadata that go to one destination at a time. derived: 16 lines, so that a partial one
/// at each end adds an eighth at most; more would only take more of the caches.
constexpr std::uint32_t kMetadataRunBytes = 1024;
static_assert(2 * protocol::ControlLayout::kLine * 8 <= kMetadataRunBytes);

void prepare_staging(DispatchOperation& operation) {
  protocol::DispatchArgs& args = operation.args;
  if (args.problem.row_per_expert()) {
    return;
  }
  const std::uint32_t row_bytes = args.problem.packet.metadata_bytes();
  const std::uint32_t run_rows = std::max(kMetadataRunBytes / row_bytes, 1U);
  const auto num_runs = static_cast<std::size_t>(args.op.num_channels) *
                        static_cast<std::size_t>(args.op.num_sources());
  operation.metadata_runs.resize(num_runs);
  operation.metadata_staging.resize(num_runs * run_rows * row_bytes / sizeof(StagingUnit));
  args.staging = {operation.metadata_runs.data(),
                  operation.metadata_staging.data()->bytes,
                  static_cast<std::int32_t>(run_rows)};
}

/// The caller's own output memory. How many rows it must hold is known once counts are in.
void check_output(DispatchOperation& operation,
                  const DispatchRequest& request,
                  const Scales& scales) {
  if (!request.out_x.given()) {
    if (request.out_scales.given()) {
      refuse("out_scales", "a tensor without out_x", "both, or neither");
    }
    return;
  }
  protocol::DispatchOutput& output = operation.args.output;
  const Rows x = check_rows(request.out_x,
                            {.name = "out_x",
                             .dtypes = {operation.out_dtype},
                             .num_cols = request.x.shape[1],
                             .alignment = kRowAlignment,
                             .collapse_leading_dims = true});
  output = {x.data, x.stride_bytes, nullptr, 0, x.num_rows};
  operation.out_x = request.out_x;
  if (request.out_scales.given()) {
    if (scales.words == 0) {
      refuse("out_scales", "a tensor", "nothing: this dispatch has no scales");
    }
    const Rows out_scales = check_rows(request.out_scales,
                                       {.name = "out_scales",
                                        .dtypes = {scales.dtype},
                                        .num_cols = scales.words,
                                        .alignment = sizeof(std::uint32_t),
                                        .collapse_leading_dims = true});
    output.scales = out_scales.data;
    output.scales_stride = out_scales.stride_bytes;
    output.capacity_rows = std::min(output.capacity_rows, out_scales.num_rows);
    operation.out_scales = request.out_scales;
  }
}

void describe(DispatchOperation& operation,
              const DispatchRequest& request,
              const Scales& scales,
              bool follows) {
  const HandleState& handle = *operation.handle;
  Descriptor& descriptor = operation.descriptor;
  descriptor.set(Field::kKind, 1);
  descriptor.set(Field::kHandleEpoch, follows ? static_cast<std::int64_t>(handle.epoch) : 0);
  descriptor.set(Field::kLayout, static_cast<int>(handle.layout));
  descriptor.set(Field::kDType, static_cast<int>(request.x.dtype));
  descriptor.set(Field::kHidden, request.x.shape[1]);
  descriptor.set(Field::kTopk, handle.shape().topk);
  descriptor.set(Field::kNumExperts, handle.shape().num_experts);
  descriptor.set(Field::kIndexBytes,
                 static_cast<std::int64_t>(dtype_bytes(handle.source->index_dtype)));
  descriptor.set(Field::kWeights, handle.source->weighted ? 1 : 0);
  descriptor.set(Field::kAlignment, handle.expert_alignment);
  descriptor.set(Field::kZeroPadding, handle.zero_padding ? 1 : 0);
  descriptor.set(Field::kMaxTokens, handle.max_tokens);
  descriptor.set(Field::kQuantize, static_cast<int>(request.quantize));
  descriptor.set(Field::kScaleWords, scales.words);
  descriptor.set(Field::kPreviousPadded, operation.args.padded.previous_epoch);
}

}  // namespace

void check_packet(const OperationContext& context, std::uint64_t packet_bytes) {
  const std::uint64_t track_bytes = context.op.control.ring_bytes;
  if (context.op.place.num_nodes > 1 && packet_bytes > track_bytes) {
    refuse("Config::track_bytes",
           fmt::format("{}", track_bytes),
           fmt::format("at least the {} bytes of one token on its way to another node, on every "
                       "rank",
                       packet_bytes));
  }
}

routing::ExpertMap expert_map(const OperationContext& context, int num_experts) {
  const Membership& membership = context.membership;
  return membership.whole() ? routing::ExpertMap{}
                            : routing::map_experts(membership.members,
                                                   membership.world_ranks,
                                                   num_experts / membership.world_ranks);
}

std::shared_ptr<DispatchOperation> make_dispatch(
    const OperationContext& context,
    const DispatchRequest& request,
    const std::shared_ptr<const HandleState>& previous) {
  const Rows x = check_rows(request.x,
                            {.name = "x",
                             .dtypes = {DType::kBf16, DType::kFp16, DType::kFp32, DType::kFp8E4m3},
                             .alignment = kRowAlignment});
  const Scales scales = check_scales(request, x);
  const bool follows = previous != nullptr;

  auto operation = std::make_shared<DispatchOperation>(context.epoch);
  operation->out_dtype = request.quantize == Quantize::kNone ? request.x.dtype : DType::kFp8E4m3;
  check_row_bytes(x, request.x.dtype);
  check_row_bytes(x, operation->out_dtype);
  operation->scale_dtype = scales.dtype;
  operation->handle = make_handle(context, request, previous, x);
  if (operation->handle->layout == Layout::kPadded) {
    operation->args.padded.previous_epoch =
        context.previous_padded_epoch == 0
            ? 0
            : protocol::epoch_tag(context.previous_padded_epoch, context.op.control.num_slots);
  }
  describe(*operation, request, scales, follows);

  protocol::DispatchArgs& args = operation->args;
  args.op = context.op;
  args.op.signature = operation->descriptor.signature();
  args.chunk_tokens = context.config->chunk_tokens;
  args.chunk_packets = context.config->chunk_packets;
  args.input = {x.data,
                x.stride_bytes,
                scales.rows.data,
                scales.rows.stride_bytes,
                static_cast<std::uint32_t>(scales.words)};
  fill_problem(*operation, context, request, scales, follows);
  check_packet(context, args.rail_packet().packet_bytes());
  check_output(*operation, request, scales);
  if (!context.on_device) {
    fill_tables(*operation);
    prepare_staging(*operation);
    protocol::for_each_role(&args, AddRole{*operation->job});
  }
  return operation;
}

}  // namespace switchyard::runtime
