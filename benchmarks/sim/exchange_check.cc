#include "benchmarks/sim/exchange_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "benchmarks/sim/reference_math.h"

namespace switchyard::sim {
namespace {

constexpr std::byte kGuard{0xa5};  // of GuardedBuffer and of fresh regions alike
static_assert(kGuard == Heaps::kFresh);

void require(bool holds, const std::string& what) {
  if (!holds) {
    throw ModelViolation(what);
  }
}

/// Memory of which parts are known; the rest must be as it was before anybody wrote.
class Ledger {
 public:
  Ledger(const std::byte* data, std::size_t bytes, std::string name)
      : data_(data), left_(data, data + bytes), name_(std::move(name)) {}

  /// Expects these bytes there, and accounts for them.
  void expect(std::size_t at, const void* bytes, std::size_t count, const std::string& what) {
    require(at + count <= left_.size(), name_ + ": too small for " + what);
    if (count != 0 && std::memcmp(data_ + at, bytes, count) != 0) {
      const auto* wanted = static_cast<const std::byte*>(bytes);
      const auto differs = std::mismatch(wanted, wanted + count, data_ + at);
      throw ModelViolation(
          fmt::format("{} + {:#x}: {} differs at byte {}: got {:#04x}, wanted {:#04x}",
                      name_,
                      at,
                      what,
                      differs.first - wanted,
                      static_cast<unsigned>(*differs.second),
                      static_cast<unsigned>(*differs.first)));
    }
    account(at, count);
  }
  void account(std::size_t at, std::size_t count) {
    std::fill_n(left_.begin() + static_cast<std::ptrdiff_t>(at), count, kGuard);
  }
  void expect_rest_untouched() const {
    const auto written =
        std::find_if(left_.begin(), left_.end(), [](std::byte each) { return each != kGuard; });
    require(written == left_.end(),
            fmt::format(
                "{} + {:#x}: written, though no row lies there", name_, written - left_.begin()));
  }

 private:
  const std::byte* data_;
  std::vector<std::byte> left_;
  std::string name_;
};

/// One source row as it must land.
struct WireRow {
  std::vector<std::byte> payload;
  std::vector<std::byte> scales;
};

WireRow wire_row(const DispatchPlan& plan, int source, int token) {
  const DispatchPlan::Source& from = plan.sources[static_cast<std::size_t>(source)];
  const auto index = static_cast<std::size_t>(token);
  const std::byte* x = from.x.data() + index * plan.row_bytes();
  const auto words = static_cast<std::size_t>(plan.scale_words());
  WireRow row;
  row.scales.resize(words * sizeof(std::uint32_t));
  if (plan.quantize != Quantize::kNone) {
    row.payload.resize(plan.landed_row_bytes());
    const bool packed = plan.quantize == Quantize::kFp8ScalesUe8m0;
    reference_quantize({row.payload.data(),
                        row.scales.data(),
                        x,
                        static_cast<std::uint32_t>(plan.hidden),
                        packed ? protocol::ScaleFormat::kUe8m0 : protocol::ScaleFormat::kFp32});
    return row;
  }
  row.payload.assign(x, x + plan.row_bytes());
  if (words != 0) {
    std::memcpy(row.scales.data(), from.scales.data() + index * words, row.scales.size());
  }
  return row;
}

class LandingChecker {
 public:
  LandingChecker(const DispatchPlan& plan,
                 const NaiveLanding& naive,
                 const runtime::DispatchOperation& operation,
                 Ledger region,
                 const std::byte* region_data)
      : plan_(plan),
        naive_(naive),
        packet_(operation.args.problem.packet),
        landing_(operation.args.landing_of(naive.num_rows)),
        region_(std::move(region)),
        region_data_(region_data),
        by_receiver_(operation.args.problem.expert_copies == ExpertCopies::kByReceiver) {}

  void check(const CallerMemory& memory) {
    std::vector<Ledger> callers;
    if (memory.rows != nullptr) {
      callers.emplace_back(memory.rows->data(), memory.rows->row().size(), "caller's rows");
    }
    if (memory.scales != nullptr) {
      callers.emplace_back(memory.scales->data(), memory.scales->row().size(), "caller's scales");
    }
    Ledger* rows = memory.rows == nullptr ? nullptr : &callers[0];
    Ledger* scales = memory.scales == nullptr ? nullptr : &callers[1];
    for (const NaiveRow& row : naive_.rows) {
      check_row(row, rows, scales);
    }
    for (std::size_t row = 0; row < naive_.is_alignment.size(); ++row) {
      if (naive_.is_alignment[row] && plan_.zero_padding) {
        check_zeros(row, rows, scales);
      }
    }
    region_.expect_rest_untouched();
    for (const Ledger& each : callers) {
      each.expect_rest_untouched();
    }
  }

 private:
  void check_row(const NaiveRow& row, Ledger* rows, Ledger* scales) {
    const std::string name =
        fmt::format("row {} (token {} of rank {})", row.row, row.token, row.source);
    const auto at = static_cast<std::uint64_t>(row.row);
    const WireRow wire = wire_row(plan_, row.source, row.token);
    check_payload(at, wire, name, rows, scales);
    check_metadata(row, name);
  }

  void check_payload(std::uint64_t row,
                     const WireRow& wire,
                     const std::string& name,
                     Ledger* rows,
                     Ledger* scales) {
    const std::size_t payload = wire.payload.size();
    region_.expect(landing_.payload_offset(row), wire.payload.data(), payload, name);
    region_.expect(
        landing_.scales_offset(row), wire.scales.data(), wire.scales.size(), name + " scales");
    if (rows != nullptr) {
      rows->expect(row * payload, wire.payload.data(), payload, name);
    }
    if (scales != nullptr) {
      scales->expect(
          row * wire.scales.size(), wire.scales.data(), wire.scales.size(), name + " scales");
    }
  }

  void check_metadata(const NaiveRow& row, const std::string& name) {
    const std::uint64_t at = landing_.metadata_offset(static_cast<std::uint64_t>(row.row));
    const std::int32_t header[] = {row.source, row.token};
    region_.expect(at, header, sizeof(header), name + " header");
    check_payload_row(row, at, name);
    for (std::size_t i = 0; i < row.topk_idx.size(); ++i) {
      const std::int64_t wide = row.topk_idx[i];
      const auto narrow = static_cast<std::int32_t>(wide);
      region_.expect(at + packet_.indices_offset() + i * packet_.index_bytes,
                     packet_.index_bytes == 8 ? static_cast<const void*>(&wide) : &narrow,
                     packet_.index_bytes,
                     name + " topk_idx");
      region_.expect(at + packet_.weights_offset() + i * sizeof(float),
                     &row.topk_weights[i],
                     sizeof(float),
                     name + " topk_weights");
    }
    region_.account(at, packet_.metadata_bytes());
  }

  /// Names a row of the same token: this one, unless this rank makes the copies.
  void check_payload_row(const NaiveRow& row, std::uint64_t metadata, const std::string& name) {
    protocol::MetadataHeader header{};
    std::memcpy(&header, region_data_ + metadata, sizeof(header));
    const bool same_token =
        std::any_of(naive_.rows.begin(), naive_.rows.end(), [&](const NaiveRow& other) {
          return other.row == header.payload_row && other.source == row.source &&
                 other.token == row.token;
        });
    require(by_receiver_ ? same_token : header.payload_row == row.row,
            fmt::format("{}: payload_row {}", name, header.payload_row));
  }

  void check_zeros(std::uint64_t row, Ledger* rows, Ledger* scales) {
    const std::vector<std::byte> zeros(
        std::max<std::size_t>(packet_.payload_bytes, protocol::kMaxMetadataBytes));
    const std::string name = fmt::format("alignment row {}", row);
    region_.expect(landing_.payload_offset(row), zeros.data(), packet_.payload_bytes, name);
    region_.expect(landing_.scales_offset(row), zeros.data(), packet_.scales_bytes, name);
    region_.expect(landing_.metadata_offset(row), zeros.data(), packet_.metadata_bytes(), name);
    if (rows != nullptr) {
      rows->expect(row * packet_.payload_bytes, zeros.data(), packet_.payload_bytes, name);
    }
    if (scales != nullptr) {
      const auto bytes = static_cast<std::size_t>(plan_.scale_words()) * sizeof(std::uint32_t);
      scales->expect(row * bytes, zeros.data(), bytes, name);
    }
  }

  const DispatchPlan& plan_;
  const NaiveLanding& naive_;
  protocol::PacketLayout packet_;
  protocol::LandingLayout landing_;
  Ledger region_;
  const std::byte* region_data_;
  bool by_receiver_;
};

void check_handle(const DispatchPlan& plan,
                  NaiveExchange& naive,
                  int dispatch,
                  const runtime::DispatchOperation& operation) {
  const runtime::HandleState& handle = *operation.handle;
  const int rank = operation.args.op.self();
  const NaiveLanding& landing = naive.landing(dispatch, rank);
  require(handle.num_rows == landing.num_rows, "handle: num_rows");
  require(handle.rows_from == landing.rows_from_rank, "handle: rows_from_rank");
  const runtime::Inspection& tables = handle.inspection();
  require(tables.rows_per_expert == landing.rows_per_expert, "handle: rows_per_expert");
  require(handle.expert_offsets == landing.expert_offsets, "handle: expert_offsets");
  const DispatchPlan::Source& source = plan.sources[static_cast<std::size_t>(rank)];
  const int per_rank = plan.num_experts / static_cast<int>(plan.sources.size());
  for (std::size_t i = 0; i < source.topk_idx.size(); ++i) {
    const auto expert = static_cast<int>(source.topk_idx[i]);
    const int holder = expert < 0 ? -1 : expert / per_rank;
    const int token = static_cast<int>(i) / plan.topk;
    const std::int64_t row =
        expert < 0 ? -1 : naive.landing(dispatch, holder).row_of(rank, token, expert % per_rank);
    const std::int32_t rank_of_entry = handle.source->route.rank[i];
    const bool is_told = expert < 0 || operation.args.op.is_here(holder);
    require(rank_of_entry == holder && tables.row_of_entry[i] == (is_told ? row : -1),
            fmt::format("handle: entry {} leads to row {} of rank {}",
                        i,
                        tables.row_of_entry[i],
                        rank_of_entry));
  }
}

}  // namespace

void check_dispatch(World& world,
                    const DispatchPlan& plan,
                    NaiveExchange& naive,
                    int dispatch,
                    const runtime::DispatchOperation& operation,
                    const CallerMemory& memory) {
  check_handle(plan, naive, dispatch, operation);
  const int rank = operation.args.op.self();
  const std::uint64_t bytes = world.heaps().region_bytes(rank, operation.region);
  const std::byte* region = world.rank(rank).read(operation.region, bytes);
  LandingChecker checker(
      plan, naive.landing(dispatch, rank), operation, Ledger(region, bytes, "landing"), region);
  checker.check(memory);
  require((memory.rows == nullptr || memory.rows->guards_intact()) &&
              (memory.scales == nullptr || memory.scales->guards_intact()),
          "written around the caller's memory");
}

void check_combine(World& world,
                   const CombinePlan& plan,
                   NaiveExchange& naive,
                   int combine,
                   const runtime::CombineOperation& operation,
                   const CallerMemory& memory) {
  const int rank = operation.args.op.self();
  const std::vector<std::byte> sums = naive.sums(combine, rank);
  const bool in_heap = memory.rows == nullptr;
  if (in_heap && operation.out_region == protocol::kNoRegion) {
    require(sums.empty(), "sums without memory");
  } else {
    const std::size_t bytes = in_heap ? world.heaps().region_bytes(rank, operation.out_region)
                                      : memory.rows->row().size();
    const std::byte* out =
        in_heap ? world.rank(rank).read(operation.out_region, bytes) : memory.rows->data();
    Ledger ledger(out, bytes, "sums");
    ledger.expect(0, sums.data(), sums.size(), "sum");
    ledger.expect_rest_untouched();
  }
  require(in_heap || memory.rows->guards_intact(), "written around the caller's memory");
  if (plan.sums_topk_weights) {
    const std::vector<float> wanted = naive.topk_weight_sums(combine, rank);
    const std::vector<float>& got = operation.summed_topk_weights;
    require(got.size() == wanted.size() &&
                (got.empty() ||
                 std::memcmp(got.data(), wanted.data(), got.size() * sizeof(float)) == 0),
            "summed top-k weights differ");
  }
}

}  // namespace switchyard::sim
