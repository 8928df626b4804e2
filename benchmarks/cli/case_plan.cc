#include "benchmarks/cli/case_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "benchmarks/common/reference.h"
#include "csrc/protocol/packet.h"
#include "switchyard/error.h"

namespace switchyard::bench {
namespace {

/// Room for counters and mailboxes, and for what regions lose to pages.
constexpr std::uint64_t kControlReserveBytes = std::uint64_t{8} << 20U;
constexpr std::uint32_t kIndexBytes = 8;  // RankInputs gives int64
constexpr std::uint64_t kEntryBytes = kIndexBytes + sizeof(float);

protocol::PacketLayout packet_of(const Workload& workload) {
  const bool one_expert = workload.layout != Layout::kRankMajor;
  return {.payload_bytes = static_cast<std::uint32_t>(workload.landed_row_bytes()),
          .scales_bytes = static_cast<std::uint32_t>(
              protocol::round_up(workload.landed_scale_bytes(), protocol::kPartAlignment)),
          .index_bytes = kIndexBytes,
          .num_entries = one_expert ? 1U : static_cast<std::uint32_t>(workload.topk)};
}

std::int64_t total(std::span<const std::int64_t> values) {
  return std::accumulate(values.begin(), values.end(), std::int64_t{0});
}

// Adds what `reference`'s rank sends in a dispatch and reads in a combine.
void add_rank(const Reference& reference, ExpertCopies copies, CasePlan& plan) {
  const Workload& workload = plan.workload;
  const auto self = static_cast<std::size_t>(reference.rank());
  const bool first_copy_crosses =
      workload.layout == Layout::kExpertMajor && copies == ExpertCopies::kByReceiver;
  const auto crossing = first_copy_crosses ? reference.tokens_to_rank() : reference.rows_to_rank();

  const auto row_bytes = static_cast<std::int64_t>(workload.landed_row_bytes());
  const std::int64_t extra_bytes = packet_of(workload).packet_bytes() - row_bytes;
  const std::int64_t rows = total(reference.rows_to_rank());
  plan.dispatch.payload += rows * row_bytes;
  plan.dispatch.logical += rows * (row_bytes + extra_bytes);
  plan.dispatch.wire += (total(crossing) - crossing[self]) * (row_bytes + extra_bytes);

  const auto output_bytes = static_cast<std::int64_t>(workload.combine_row_bytes());
  std::int64_t sent_tokens = 0;
  for (int token = 0; token < reference.num_tokens(); ++token) {
    sent_tokens += reference.contributions(token).empty() ? 0 : 1;
  }
  plan.dispatch.memory +=
      sent_tokens * static_cast<std::int64_t>(workload.row_bytes()) + rows * row_bytes;

  plan.combine.memory += (rows + reference.num_tokens()) * output_bytes;
  plan.combine.payload += rows * output_bytes;
  plan.combine.logical += rows * output_bytes;
  plan.combine.wire += (rows - reference.rows_to_rank()[self]) * output_bytes;

  plan.most_landed_rows =
      std::max(plan.most_landed_rows, static_cast<std::int64_t>(reference.rows().size()));
  plan.ranks_per_token += static_cast<double>(total(reference.tokens_to_rank()));
}

std::uint64_t needed_heap_bytes(const CasePlan& plan) {
  const Workload& workload = plan.workload;
  const auto rows = static_cast<std::uint64_t>(plan.most_landed_rows);
  const protocol::LandingLayout landing{.packet = packet_of(workload), .num_rows = rows};
  std::uint64_t bytes = landing.region_bytes();
  bytes += static_cast<std::uint64_t>(workload.tokens) * workload.combine_row_bytes();
  if (workload.combine_dtype() != workload.landed_dtype()) {
    bytes += rows * workload.combine_row_bytes();  // expert outputs cannot replace the landed rows
  }
  return bytes + bytes / 16 + kControlReserveBytes;
}

void require_memory(const Workload& workload, std::uint64_t needed, std::uint64_t available) {
  constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
  if (needed > available) {
    throw InvalidArgument(fmt::format(
        "memory: {} needs at least {:.1f} GiB on this machine, got {:.1f} GiB available; "
        "lower --tokens, --hidden or --ranks",
        workload.to_string(),
        static_cast<double>(needed) / kGiB,
        static_cast<double>(available) / kGiB));
  }
}

CasePlan plan_case(const Workload& workload, const BenchOptions& options) {
  CasePlan plan;
  plan.workload = workload;
  plan.workload.validate();
  plan.routing = std::make_shared<const std::vector<RankRouting>>(make_all_routing(workload));
  std::int64_t num_tokens = 0;
  for (int rank = 0; rank < workload.num_ranks; ++rank) {
    const Reference reference(workload, rank, plan.routing);
    add_rank(reference, options.expert_copies, plan);
    num_tokens += reference.num_tokens();
  }
  plan.ranks_per_token /= static_cast<double>(std::max<std::int64_t>(num_tokens, 1));
  plan.heap_bytes = options.heap_bytes != 0 ? options.heap_bytes : needed_heap_bytes(plan);
  return plan;
}

}  // namespace

std::string case_name(const Workload& workload) {
  return fmt::format("{}, {} tokens", layout_name(workload.layout), workload.tokens);
}

std::vector<CasePlan> plan_cases(const BenchOptions& options) {
  std::vector<CasePlan> plans;
  for (const Layout layout : options.layouts) {
    for (const int tokens : options.tokens) {
      Workload workload = options.workload;
      workload.layout = layout;
      workload.tokens = tokens;
      plans.push_back(plan_case(workload, options));
    }
  }
  return plans;
}

std::uint64_t machine_bytes(const CasePlan& plan) {
  const Workload& workload = plan.workload;
  const auto tokens = static_cast<std::uint64_t>(workload.tokens);
  const std::uint64_t inputs = tokens * (workload.row_bytes() + workload.landed_scale_bytes());
  return static_cast<std::uint64_t>(workload.num_ranks) * (plan.heap_bytes + inputs);
}

void check_memory(const BenchOptions& options, std::uint64_t available_bytes) {
  const Workload& workload = options.workload;
  const std::uint64_t token_bytes = workload.row_bytes() + workload.combine_row_bytes() +
                                    static_cast<std::uint64_t>(workload.topk) * kEntryBytes;
  const auto num_tokens = static_cast<std::uint64_t>(workload.num_ranks) *
                          static_cast<std::uint64_t>(options.tokens.back());
  require_memory(workload, num_tokens * token_bytes, available_bytes);
}

void check_memory(const std::vector<CasePlan>& plans, std::uint64_t available_bytes) {
  for (const CasePlan& plan : plans) {
    require_memory(plan.workload, machine_bytes(plan), available_bytes);
  }
}

}  // namespace switchyard::bench
