// The measured problem: shapes, types, layout and routing of one expert-parallel group, with the
// presets of well-known models. A plain struct that checks and prints itself; no memory and no data
// here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "csrc/protocol/row_math.h"
#include "switchyard/dispatch.h"
#include "switchyard/dtype.h"

namespace switchyard::bench {

struct Workload {
  std::string preset = "custom";  ///< name of the preset it came from, for reports
  int num_ranks = 4;
  int tokens = 1024;  ///< of each rank
  int hidden = 7168;  ///< elements of a row
  int topk = 8;
  int num_experts = 256;
  DType dtype = DType::kBf16;  ///< of the dispatched rows: bf16, fp16, fp32 or fp8 e4m3
  Layout layout = Layout::kRankMajor;
  Quantize quantize = Quantize::kNone;
  /// fp8 rows only: scales that are carried as they come.
  protocol::ScaleFormat carried_scales = protocol::ScaleFormat::kNone;
  int expert_alignment = 1;         ///< expert-major: rows
  bool zero_padding = false;        ///< expert-major
  int max_tokens = 0;               ///< padded: places per (expert, source); 0 means `tokens`
  std::string routing = "uniform";  ///< a specification for make_routing (routing_source.h)
  std::uint64_t seed = 1;

  [[nodiscard]] int experts_per_rank() const { return num_experts / num_ranks; }
  [[nodiscard]] int rank_of_expert(std::int64_t expert) const {
    return static_cast<int>(expert / experts_per_rank());
  }
  /// Places per (expert, source) of the padded layout.
  [[nodiscard]] int places() const { return max_tokens > 0 ? max_tokens : tokens; }

  /// Bytes of one row as the source holds it.
  [[nodiscard]] std::size_t row_bytes() const;
  /// Type and bytes of one row as it lands (fp8 when quantised).
  [[nodiscard]] DType landed_dtype() const;
  [[nodiscard]] std::size_t landed_row_bytes() const;
  /// Scales beside each landed row: carried, or made by quantising. Bytes are a multiple of 4; 0
  /// for none.
  [[nodiscard]] protocol::ScaleFormat landed_scales() const;
  [[nodiscard]] std::size_t landed_scale_bytes() const;
  /// Type and bytes of an expert-output row: the rows' type, bf16 where those are fp8.
  [[nodiscard]] DType combine_dtype() const;
  [[nodiscard]] std::size_t combine_row_bytes() const;
  /// True when the combine multiplies rows by CombineRequest::topk_weights: layouts with one row
  /// per expert. In rank-major the experts' weights are applied before the rows of a rank are
  /// summed, which is the caller's work.
  [[nodiscard]] bool weighted_combine() const { return layout != Layout::kRankMajor; }

  /// Errors: InvalidArgument naming the first bad field, got, wanted and what to do. The routing
  /// specification is
  ///         checked by make_routing.
  void validate() const;

  /// One line for people: "deepseek-v3-train: 4 ranks x 4096 tokens x 7168 bf16, top-8 of 256,
  /// rank-major, uniform".
  [[nodiscard]] std::string to_string() const;
};

/// The workload of one preset. Errors: InvalidArgument listing the names
Workload find_preset(std::string_view name);
std::span<const std::string_view> preset_names();

/// Bytes of the scales of one row of `hidden` elements; a multiple of 4, 0 for kNone.
std::size_t scale_bytes_per_row(protocol::ScaleFormat format, int hidden);

// Names as the command line and the reports spell them. Each parser throws InvalidArgument listing
// what it knows.
DType parse_dtype(std::string_view name);                   // bf16 | fp16 | fp32 | fp8
Layout parse_layout(std::string_view name);                 // rank-major | expert-major | padded
Quantize parse_quantize(std::string_view name);             // none | fp8-fp32 | fp8-ue8m0
protocol::ScaleFormat parse_scales(std::string_view name);  // none | fp32 | ue8m0
std::string_view row_dtype_name(DType dtype);
using switchyard::layout_name;
std::string_view quantize_name(Quantize quantize);
std::string_view scales_name(protocol::ScaleFormat format);

}  // namespace switchyard::bench
