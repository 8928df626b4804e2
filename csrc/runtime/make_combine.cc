// From a CombineRequest to the arguments of its roles.
#include <fmt/format.h>

#include "csrc/protocol/roles.h"
#include "csrc/runtime/operation.h"
#include "csrc/runtime/validate.h"
#include "switchyard/error.h"

namespace switchyard::runtime {
namespace {

constexpr std::size_t kRowAlignment = protocol::kPartAlignment;

/// Rows inside this rank's heap, without gaps, are read where they lie.
std::uint64_t offset_in_heap(const OperationContext& context,
                             const Rows& x,
                             std::uint64_t row_bytes) {
  const std::byte* heap = context.op.peers.local(0);
  const std::uint64_t extent = static_cast<std::uint64_t>(x.num_rows) * row_bytes;
  const bool inside = x.data >= heap && extent <= context.heap_bytes &&
                      x.data <= heap + (context.heap_bytes - extent);
  const bool contiguous = x.num_rows <= 1 || x.stride_bytes == row_bytes;
  return inside && contiguous && x.num_rows > 0 ? static_cast<std::uint64_t>(x.data - heap)
                                                : protocol::kNoRegion;
}

Rows check_x(const CombineRequest& request, const HandleState& handle) {
  const Rows x = check_rows(request.x,
                            {.name = "x",
                             .dtypes = {DType::kBf16, DType::kFp16, DType::kFp32},
                             .num_rows = handle.num_rows,
                             .alignment = kRowAlignment,
                             .collapse_leading_dims = true});
  const std::uint64_t row_bytes =
      static_cast<std::uint64_t>(x.num_cols) * dtype_bytes(request.x.dtype);
  if (row_bytes == 0 || row_bytes % kRowAlignment != 0) {
    refuse("x row bytes",
           fmt::format(
               "{} elements of {} = {} bytes", x.num_cols, dtype_name(request.x.dtype), row_bytes),
           fmt::format("a positive multiple of {} bytes", kRowAlignment));
  }
  return x;
}

void fill_problem(CombineOperation& operation, const CombineRequest& request, const Rows& x) {
  const HandleState& handle = *operation.handle;
  protocol::CombineProblem& problem = operation.args.problem;
  problem.num_tokens = handle.shape().num_tokens;
  problem.topk = handle.shape().topk;
  problem.experts_per_rank = handle.shape().experts_per_rank();
  problem.hidden = static_cast<std::uint32_t>(x.num_cols);
  problem.dtype = request.x.dtype;
  problem.row_bytes = problem.hidden * static_cast<std::uint32_t>(dtype_bytes(problem.dtype));
  problem.num_entries = handle.row_per_expert() ? 1 : static_cast<std::uint32_t>(problem.topk);
  problem.row_per_expert = handle.row_per_expert();
  problem.sums_topk_weights = request.row_topk_weights.given();
  // The sums are the next layer's input, but not before every token has one.
  problem.copy_hint =
      static_cast<std::uint64_t>(problem.num_tokens) * problem.row_bytes >= kStreamFromBytes
          ? protocol::CopyHint::kStream
          : protocol::CopyHint::kKeep;
}

void fill_experts(CombineOperation& operation,
                  const OperationContext& context,
                  const CombineRequest& request,
                  const Rows& x) {
  const HandleState& handle = *operation.handle;
  const protocol::CombineProblem& problem = operation.args.problem;
  protocol::ExpertOutputs& experts = operation.args.experts;
  experts.x = x.data;
  experts.x_stride = x.stride_bytes;
  experts.heap_offset = offset_in_heap(context, x, problem.row_bytes);
  experts.copy_in.num_rows = static_cast<std::uint64_t>(handle.num_rows);
  experts.copy_in.row_bytes = experts.heap_offset == protocol::kNoRegion ? problem.row_bytes : 0;
  if (request.row_weights.given()) {
    experts.copy_in.num_weights = 1;
    experts.row_weights =
        reinterpret_cast<const float*>(check_vector(request.row_weights,
                                                    {.name = "row_weights",
                                                     .dtypes = {DType::kFp32},
                                                     .num_rows = handle.num_rows,
                                                     .alignment = sizeof(float)}));
  }
  if (request.row_topk_weights.given()) {
    const Rows weights = check_rows(request.row_topk_weights,
                                    {.name = "row_topk_weights",
                                     .dtypes = {DType::kFp32},
                                     .num_rows = handle.num_rows,
                                     .num_cols = problem.num_entries,
                                     .alignment = sizeof(float)});
    experts.copy_in.num_entries = problem.num_entries;
    experts.row_topk_weights = reinterpret_cast<const float*>(weights.data);
    experts.row_topk_weights_stride = weights.stride_bytes;
  }
}

void fill_tables(CombineOperation& operation) {
  const HandleState& handle = *operation.handle;
  const auto ranks = handle.rows_of_rank.size();
  operation.args.op.flags = &operation.flags;
  operation.args.op.failure = &operation.failure;
  protocol::ExpertOutputs& experts = operation.args.experts;
  experts.rows_from = handle.rows_from.data();
  experts.runs = handle.runs();
  experts.copy_in_region = &operation.copy_in_region;
  operation.args.output.region = &operation.out_region;
  operation.rows_at.resize(ranks);
  operation.row_weights_at.resize(ranks);
  operation.row_topk_weights_at.resize(ranks);
  operation.args.contributions = {operation.rows_at.data(),
                                  operation.row_weights_at.data(),
                                  operation.row_topk_weights_at.data(),
                                  handle.rows_of_rank.data(),
                                  handle.base.data()};
  operation.args.relay = {handle.relayed_packets.data(), handle.relayed_rows.data()};
  if (handle.place.num_nodes > 1) {
    operation.sum_tracks.resize(static_cast<std::size_t>(operation.args.op.num_channels) *
                                static_cast<std::size_t>(handle.place.num_nodes));
  }
}

/// [T, K], or nothing.
Rows check_topk_weights(const CombineRequest& request, const HandleState& handle) {
  if (!request.topk_weights.given()) {
    return {};
  }
  if (!handle.row_per_expert()) {
    refuse("topk_weights",
           "a tensor with layout rank-major, whose rows already sum several experts",
           "nothing; weight the rows on the experts' rank (row_weights)");
  }
  return check_rows(request.topk_weights,
                    {.name = "topk_weights",
                     .dtypes = {DType::kFp32},
                     .num_rows = handle.shape().num_tokens,
                     .num_cols = handle.shape().topk,
                     .alignment = sizeof(float)});
}

void fill_routing(CombineOperation& operation, const Rows& topk_weights) {
  const HandleState& handle = *operation.handle;
  const routing::Route& route = handle.source->route;
  const bool weighted = topk_weights.num_cols > 0;
  if (weighted) {
    operation.topk_weights.resize(route.expert.size());
    pack_rows(topk_weights,
              static_cast<std::size_t>(handle.shape().topk) * sizeof(float),
              operation.topk_weights.data());
  }
  operation.args.routing = {route.expert.data(),
                            route.rank.data(),
                            route.opener.data(),
                            route.ordinal.data(),
                            route.terms.data(),
                            route.num_terms.data(),
                            weighted ? operation.topk_weights.data() : nullptr,
                            route.has_duplicates};
  if (operation.args.problem.sums_topk_weights) {
    operation.summed_topk_weights.resize(route.expert.size());
    operation.args.output.topk_weights =
        reinterpret_cast<std::byte*>(operation.summed_topk_weights.data());
  }
}

/// Sums are written while other rows are still read.
void check_apart(const Rows& out, std::uint64_t row_bytes, const Rows& read, const char* name) {
  if (rows_overlap(out, read, row_bytes)) {
    refuse("out",
           fmt::format("memory that overlaps {}", name),
           "memory of its own, or nothing for a view of the heap");
  }
}

void fill_output(CombineOperation& operation, const CombineRequest& request, const Rows& x) {
  const protocol::CombineProblem& problem = operation.args.problem;
  protocol::CombineOutput& output = operation.args.output;
  const RowsWanted like_out{.name = "out",
                            .dtypes = {problem.dtype},
                            .num_rows = problem.num_tokens,
                            .num_cols = problem.hidden,
                            .alignment = kRowAlignment};
  Rows out;
  if (request.out.given()) {
    out = check_rows(request.out, like_out);
    check_apart(out, problem.row_bytes, x, "x");
    output.out = out.data;
    output.out_stride = out.stride_bytes;
    operation.out = request.out;
  } else {
    output.out_stride = problem.row_bytes;
    output.region_bytes = static_cast<std::uint64_t>(problem.num_tokens) * problem.row_bytes;
  }
  for (std::size_t i = 0; i < request.bias.size(); ++i) {
    if (!request.bias[i].given()) {
      continue;
    }
    RowsWanted like_bias = like_out;
    like_bias.name = i == 0 ? "bias[0]" : "bias[1]";
    const Rows bias = check_rows(request.bias[i], like_bias);
    check_apart(out, problem.row_bytes, bias, i == 0 ? "bias[0]" : "bias[1]");
    output.biases[output.num_biases] = bias.data;
    output.bias_strides[output.num_biases] = bias.stride_bytes;
    ++output.num_biases;
  }
}

void describe(CombineOperation& operation) {
  const HandleState& handle = *operation.handle;
  const protocol::CombineProblem& problem = operation.args.problem;
  Descriptor& descriptor = operation.descriptor;
  descriptor.set(Field::kKind, 2);
  descriptor.set(Field::kHandleEpoch, static_cast<std::int64_t>(handle.epoch));
  descriptor.set(Field::kLayout, static_cast<int>(handle.layout));
  descriptor.set(Field::kDType, static_cast<int>(problem.dtype));
  descriptor.set(Field::kHidden, problem.hidden);
  descriptor.set(Field::kTopk, problem.topk);
  descriptor.set(Field::kNumExperts, handle.shape().num_experts);
  descriptor.set(Field::kWeights, problem.sums_topk_weights ? 1 : 0);
}

}  // namespace

std::shared_ptr<CombineOperation> make_combine(const OperationContext& context,
                                               const CombineRequest& request,
                                               const std::shared_ptr<const HandleState>& handle) {
  auto operation = std::make_shared<CombineOperation>(context.epoch);
  operation->handle = handle;
  const Rows x = check_x(request, *handle);
  fill_problem(*operation, request, x);
  fill_experts(*operation, context, request, x);
  const Rows topk_weights = check_topk_weights(request, *handle);
  fill_output(*operation, request, x);
  describe(*operation);
  protocol::CombineArgs& args = operation->args;
  args.op = context.op;
  args.op.signature = operation->descriptor.signature();
  args.chunk_tokens = context.config->chunk_tokens;
  args.chunk_packets = context.config->chunk_packets;
  args.previous_combine = context.previous_combine;
  check_packet(context, args.rail_sum().packet_bytes());
  if (!context.on_device) {
    fill_tables(*operation);
    fill_routing(*operation, topk_weights);
    protocol::for_each_role(&args, operation->sum_tracks.data(), AddRole{*operation->job});
  }
  return operation;
}

}  // namespace switchyard::runtime
