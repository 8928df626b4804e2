// One dispatch or combine from issue to finish on one rank: the arguments of its roles, the memory
// they point to, and the job that runs them.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "csrc/protocol/combine_args.h"
#include "csrc/protocol/dispatch_args.h"
#include "csrc/protocol/rail_ring.h"
#include "csrc/runtime/descriptor.h"
#include "csrc/runtime/handle_state.h"
#include "csrc/targets/device.h"
#include "csrc/targets/host/job.h"
#include "switchyard/buffer.h"

namespace switchyard::runtime {

/// Memory for metadata runs, aligned as row copies need.
struct alignas(protocol::kPartAlignment) StagingUnit {
  std::byte bytes[protocol::kPartAlignment];
};

/// What building an operation needs to know of its buffer.
struct OperationContext {
  std::uint64_t buffer_id = 0;
  const Config* config = nullptr;
  Membership membership{};
  protocol::OperationArgs op;  ///< peers, control, channels; tag of the operation to come
  std::uint64_t epoch = 0;     ///< its number
  std::uint64_t heap_bytes = 0;
  std::uint64_t previous_padded_epoch = 0;  ///< number of the padded dispatch before, 0 for none
  std::uint64_t previous_combine = 0;       ///< number of the combine before, 0 for none
  /// A device reads what tensors hold, makes the tables and plays the roles: whoever launches its
  /// kernels says where the tables are.
  bool on_device = false;

  /// Ranks that experts are numbered over.
  [[nodiscard]] int world_ranks() const {
    return membership.whole() ? op.num_sources() : membership.world_ranks;
  }
};

class Operation {
 public:
  explicit Operation(std::uint64_t number)
      : epoch(number), job(std::make_shared<host::Job>(number)) {}
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  virtual ~Operation() = default;

  std::uint64_t epoch;  ///< its number
  std::shared_ptr<host::Job> job;
  Descriptor descriptor;
  protocol::LocalFlags flags;
  protocol::Failure failure;
  bool finished = false;
  cuda::Outcome* outcome = nullptr;  ///< on a device: what its kernel tells

  [[nodiscard]] virtual const protocol::OperationArgs& args_op() const = 0;
  [[nodiscard]] virtual const char* name() const = 0;
};

class DispatchOperation final : public Operation {
 public:
  using Operation::Operation;

  protocol::DispatchArgs args;
  std::shared_ptr<HandleState> handle;
  std::vector<std::uint64_t> region_of_rank;
  std::uint64_t region = protocol::kNoRegion;
  std::vector<protocol::MetadataRun> metadata_runs;
  std::vector<StagingUnit> metadata_staging;
  DType out_dtype = DType::kBf16;
  DType scale_dtype = DType::kFp32;
  TensorView out_x;
  TensorView out_scales;

  [[nodiscard]] const protocol::OperationArgs& args_op() const override { return args.op; }
  [[nodiscard]] const char* name() const override { return "dispatch"; }
};

class CombineOperation final : public Operation {
 public:
  using Operation::Operation;

  protocol::CombineArgs args;
  std::shared_ptr<const HandleState> handle;
  std::vector<std::uint64_t> rows_at;
  std::vector<std::uint64_t> row_weights_at;
  std::vector<std::uint64_t> row_topk_weights_at;
  std::uint64_t copy_in_region = protocol::kNoRegion;
  std::uint64_t out_region = protocol::kNoRegion;
  std::vector<protocol::RingConsumer> sum_tracks;  ///< [num_channels][num_nodes]
  std::vector<float> topk_weights;                 ///< [num_tokens][topk] as given, contiguous
  std::vector<float> summed_topk_weights;          ///< [num_tokens][topk]
  std::shared_ptr<const targets::DeviceBlock> device_topk_weights;  ///< the same, on a device
  TensorView out;

  [[nodiscard]] const protocol::OperationArgs& args_op() const override { return args.op; }
  [[nodiscard]] const char* name() const override { return "combine"; }
};

/// Gives the roles of an operation (csrc/protocol/roles.h) to its job.
struct AddRole {
  host::Job& job;

  /// A host warp reaches no other node: roles between nodes are left out, and no group that has
  /// them gets here (BufferState).
  template <class Role>
  void operator()(int channel, Role role) const {
    if constexpr (requires(host::HostWarp & warp) { role.step(warp); }) {
      job.add<Role>(channel, std::move(role));
    }
  }
};

/// The experts of the world among those of the members; empty when all are members.
routing::ExpertMap expert_map(const OperationContext& context, int num_experts);

/// With several nodes: a token must fit a track.
/// Errors: InvalidArgument naming Config::track_bytes
void check_packet(const OperationContext& context, std::uint64_t packet_bytes);

/// Checks a request and builds its operation; nothing is sent.
/// Errors: InvalidArgument, InvalidState
std::shared_ptr<DispatchOperation> make_dispatch(
    const OperationContext& context,
    const DispatchRequest& request,
    const std::shared_ptr<const HandleState>& previous);
std::shared_ptr<CombineOperation> make_combine(const OperationContext& context,
                                               const CombineRequest& request,
                                               const std::shared_ptr<const HandleState>& handle);

/// Rows worth more than this stream past the caches; below it, they stay for whoever reads them
/// next. derived: half of one rank's share of a common last-level cache, 32 MiB for 4 ranks;
/// benchmarks/micro/row_ops_bench.cc shows both sides.
inline constexpr std::uint64_t kStreamFromBytes = std::uint64_t{4} << 20U;
static_assert(kStreamFromBytes == (std::uint64_t{32} << 20U) / 4 / 2);

}  // namespace switchyard::runtime
