#include "benchmarks/common/workload.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "benchmarks/common/check_range.h"
#include "switchyard/error.h"

namespace switchyard::bench {

namespace {

constexpr int kMaxRanks = 4096;
constexpr int kMaxExperts = 65536;  // Config::max_experts
constexpr std::size_t kRowAlignment = 16;

constexpr std::array<std::pair<std::string_view, DType>, 4> kDTypes{{{"bf16", DType::kBf16},
                                                                     {"fp16", DType::kFp16},
                                                                     {"fp32", DType::kFp32},
                                                                     {"fp8", DType::kFp8E4m3}}};
constexpr std::array<std::pair<std::string_view, Layout>, 3> kLayouts{
    {{layout_name(Layout::kRankMajor), Layout::kRankMajor},
     {layout_name(Layout::kExpertMajor), Layout::kExpertMajor},
     {layout_name(Layout::kPadded), Layout::kPadded}}};
constexpr std::array<std::pair<std::string_view, Quantize>, 3> kQuantizes{
    {{"none", Quantize::kNone},
     {"fp8-fp32", Quantize::kFp8ScalesFp32},
     {"fp8-ue8m0", Quantize::kFp8ScalesUe8m0}}};
constexpr std::array<std::pair<std::string_view, protocol::ScaleFormat>, 3> kScales{
    {{"none", protocol::ScaleFormat::kNone},
     {"fp32", protocol::ScaleFormat::kFp32},
     {"ue8m0", protocol::ScaleFormat::kUe8m0}}};

template <class Table>
auto parse_name(const Table& table, std::string_view option, std::string_view name) {
  std::string known;
  for (const auto& [known_name, value] : table) {
    if (known_name == name) {
      return value;
    }
    known += fmt::format("{}{}", known.empty() ? "" : ", ", known_name);
  }
  throw InvalidArgument(fmt::format("{}: got \"{}\", wanted one of {}", option, name, known));
}

template <class Table, class Value>
std::string_view name_of(const Table& table, Value wanted) {
  for (const auto& [name, value] : table) {
    if (value == wanted) {
      return name;
    }
  }
  return "unknown";
}

// The next number of experts that `num_ranks` divides, as a proposal.
int next_multiple(int num_experts, int num_ranks) {
  return (num_experts / num_ranks + 1) * num_ranks;
}

void check_sizes(const Workload& workload) {
  check_range("ranks", workload.num_ranks, 1, kMaxRanks);
  check_range("tokens", workload.tokens, 0, std::int64_t{1} << 24);
  check_range("hidden", workload.hidden, 1, std::int64_t{1} << 20);
  check_range("topk", workload.topk, 1, kMaxTopk);
  check_range("experts", workload.num_experts, 1, kMaxExperts);
  if (workload.num_experts % workload.num_ranks != 0) {
    throw InvalidArgument(
        fmt::format("experts: got {}, wanted a multiple of the {} ranks (every rank holds the same "
                    "number); use {} experts or another number of ranks",
                    workload.num_experts,
                    workload.num_ranks,
                    next_multiple(workload.num_experts, workload.num_ranks)));
  }
}

void check_types(const Workload& workload) {
  const bool fp8 = workload.dtype == DType::kFp8E4m3;
  if (!fp8 && workload.dtype != DType::kBf16 && workload.dtype != DType::kFp16 &&
      workload.dtype != DType::kFp32) {
    throw InvalidArgument(
        fmt::format("dtype: got {}, wanted bf16, fp16, fp32 or fp8", dtype_name(workload.dtype)));
  }
  if (workload.row_bytes() % kRowAlignment != 0) {
    throw InvalidArgument(
        fmt::format("hidden: got {} elements of {} = {} bytes, wanted a multiple of {} bytes",
                    workload.hidden,
                    dtype_name(workload.dtype),
                    workload.row_bytes(),
                    kRowAlignment));
  }
  if (workload.quantize == Quantize::kNone) {
    if (workload.carried_scales != protocol::ScaleFormat::kNone && !fp8) {
      throw InvalidArgument(fmt::format("scales: got {} scales with {} rows, wanted fp8 rows",
                                        scales_name(workload.carried_scales),
                                        dtype_name(workload.dtype)));
    }
    return;
  }
  if (workload.dtype != DType::kBf16) {
    throw InvalidArgument(
        fmt::format("quantize: got {} rows, wanted bf16 (only those are quantised)",
                    dtype_name(workload.dtype)));
  }
  if (workload.carried_scales != protocol::ScaleFormat::kNone) {
    throw InvalidArgument("scales: got carried scales and quantize, wanted one of them");
  }
  if (workload.landed_row_bytes() % kRowAlignment != 0) {
    throw InvalidArgument(
        fmt::format("hidden: got {}, wanted a multiple of {} when rows are quantised to fp8",
                    workload.hidden,
                    kRowAlignment));
  }
}

void check_layout(const Workload& workload) {
  check_range("expert-alignment", workload.expert_alignment, 1, std::int64_t{1} << 20);
  if (workload.zero_padding && workload.layout != Layout::kExpertMajor) {
    throw InvalidArgument(fmt::format(
        "zero-padding: got it with layout {}, wanted expert-major; leave --zero-padding out",
        layout_name(workload.layout)));
  }
  if (workload.layout == Layout::kPadded && workload.places() < workload.tokens) {
    throw InvalidArgument(fmt::format("max-tokens: got {}, wanted at least the {} tokens of a rank",
                                      workload.max_tokens,
                                      workload.tokens));
  }
  check_range("max-tokens", workload.max_tokens, 0, std::int64_t{1} << 24);
  const std::int64_t padded_rows =
      std::int64_t{workload.experts_per_rank()} * workload.num_ranks * workload.places();
  if (workload.layout == Layout::kPadded && padded_rows > INT32_MAX) {
    throw InvalidArgument(
        fmt::format("padded layout: got {} places per rank, wanted at most {}; lower "
                    "max-tokens or use expert-major",
                    padded_rows,
                    INT32_MAX));
  }
}

Workload deepseek_v3_train() {
  // Shape: DeepSeek-V3 config.json (hidden_size 7168, n_routed_experts 256, num_experts_per_tok 8,
  // n_group 8, topk_group 4); 4096 tokens per rank: DeepSeek-V3 report and DeepEP's published
  // tables.
  Workload workload;
  workload.preset = "deepseek-v3-train";
  workload.tokens = 4096;
  return workload;
}

Workload deepseek_v3_decode() {
  // The same model; 128 tokens per rank as in DeepEP's low-latency tables.
  Workload workload = deepseek_v3_train();
  workload.preset = "deepseek-v3-decode";
  workload.tokens = 128;
  workload.layout = Layout::kPadded;
  return workload;
}

Workload qwen3_235b() {
  // Qwen3-235B-A22B config.json: hidden_size 4096, num_experts 128, num_experts_per_tok 8.
  Workload workload = deepseek_v3_train();
  workload.preset = "qwen3-235b";
  workload.hidden = 4096;
  workload.num_experts = 128;
  return workload;
}

Workload mixtral() {
  // Mixtral-8x7B-v0.1 config.json: hidden_size 4096, num_local_experts 8, num_experts_per_tok 2.
  Workload workload = deepseek_v3_train();
  workload.preset = "mixtral";
  workload.hidden = 4096;
  workload.topk = 2;
  workload.num_experts = 8;
  return workload;
}

Workload gpt_oss_120b() {
  // gpt-oss-120b config.json: hidden_size 2880, num_local_experts 128, num_experts_per_tok 4.
  Workload workload = deepseek_v3_train();
  workload.preset = "gpt-oss-120b";
  workload.hidden = 2880;
  workload.topk = 4;
  workload.num_experts = 128;
  return workload;
}

constexpr std::array<std::pair<std::string_view, Workload (*)()>, 5> kPresets{
    {{"deepseek-v3-train", deepseek_v3_train},
     {"deepseek-v3-decode", deepseek_v3_decode},
     {"qwen3-235b", qwen3_235b},
     {"mixtral", mixtral},
     {"gpt-oss-120b", gpt_oss_120b}}};

constexpr auto kPresetNames = [] {
  std::array<std::string_view, kPresets.size()> names;
  for (std::size_t i = 0; i < names.size(); ++i) {
    names[i] = kPresets[i].first;
  }
  return names;
}();

}  // namespace

std::size_t scale_bytes_per_row(protocol::ScaleFormat format, int hidden) {
  const auto num_blocks =
      static_cast<std::size_t>((hidden + kScaleBlockElems - 1) / kScaleBlockElems);
  switch (format) {
    case protocol::ScaleFormat::kNone:
      return 0;
    case protocol::ScaleFormat::kFp32:
      return num_blocks * sizeof(float);
    case protocol::ScaleFormat::kUe8m0:
      return (num_blocks + 3) / 4 * 4;
  }
  return 0;
}

std::size_t Workload::row_bytes() const {
  return static_cast<std::size_t>(hidden) * dtype_bytes(dtype);
}

DType Workload::landed_dtype() const {
  return quantize == Quantize::kNone ? dtype : DType::kFp8E4m3;
}

std::size_t Workload::landed_row_bytes() const {
  return static_cast<std::size_t>(hidden) * dtype_bytes(landed_dtype());
}

protocol::ScaleFormat Workload::landed_scales() const {
  switch (quantize) {
    case Quantize::kNone:
      return carried_scales;
    case Quantize::kFp8ScalesFp32:
      return protocol::ScaleFormat::kFp32;
    case Quantize::kFp8ScalesUe8m0:
      return protocol::ScaleFormat::kUe8m0;
  }
  return protocol::ScaleFormat::kNone;
}

std::size_t Workload::landed_scale_bytes() const {
  return scale_bytes_per_row(landed_scales(), hidden);
}

DType Workload::combine_dtype() const {
  return dtype == DType::kFp8E4m3 ? DType::kBf16 : dtype;
}

std::size_t Workload::combine_row_bytes() const {
  return static_cast<std::size_t>(hidden) * dtype_bytes(combine_dtype());
}

void Workload::validate() const {
  check_sizes(*this);
  check_types(*this);
  check_layout(*this);
}

std::string Workload::to_string() const {
  std::string text = fmt::format("{}: {} ranks x {} tokens x {} {}, top-{} of {} experts, {}, {}",
                                 preset,
                                 num_ranks,
                                 tokens,
                                 hidden,
                                 row_dtype_name(dtype),
                                 topk,
                                 num_experts,
                                 layout_name(layout),
                                 routing);
  if (quantize != Quantize::kNone) {
    text += fmt::format(", quantised {}", quantize_name(quantize));
  }
  if (carried_scales != protocol::ScaleFormat::kNone) {
    text += fmt::format(", {} scales", scales_name(carried_scales));
  }
  return text;
}

Workload find_preset(std::string_view name) {
  return parse_name(kPresets, "preset", name)();
}

std::span<const std::string_view> preset_names() {
  return kPresetNames;
}

DType parse_dtype(std::string_view name) {
  return parse_name(kDTypes, "dtype", name);
}
Layout parse_layout(std::string_view name) {
  return parse_name(kLayouts, "layout", name);
}
Quantize parse_quantize(std::string_view name) {
  return parse_name(kQuantizes, "quantize", name);
}
protocol::ScaleFormat parse_scales(std::string_view name) {
  return parse_name(kScales, "scales", name);
}

std::string_view row_dtype_name(DType dtype) {
  return name_of(kDTypes, dtype);
}
std::string_view quantize_name(Quantize quantize) {
  return name_of(kQuantizes, quantize);
}
std::string_view scales_name(protocol::ScaleFormat format) {
  return name_of(kScales, format);
}

}  // namespace switchyard::bench
