#include "benchmarks/common/token_data.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "benchmarks/common/random_bits.h"

namespace switchyard::bench {

namespace {

// What the bits of a stream are for; streams of one seed are unrelated.
enum class Purpose : std::uint64_t { kToken = 1, kExpert = 2, kScales = 3 };

std::uint64_t stream_key(std::uint64_t seed, Purpose purpose, TokenId id, int producer) {
  std::uint64_t key = mix_bits(seed ^ (static_cast<std::uint64_t>(purpose) << 56U));
  key = mix_bits(key ^ static_cast<std::uint64_t>(static_cast<std::uint32_t>(id.rank)));
  key = mix_bits(key ^ static_cast<std::uint64_t>(static_cast<std::uint32_t>(id.token)));
  return mix_bits(key ^ static_cast<std::uint64_t>(static_cast<std::uint32_t>(producer)));
}

/// Random bits b become (b & keep) | set: sign and mantissa as they come, and an exponent of eight
/// consecutive values that ends at the one of [1, 2).
struct BitPattern {
  std::uint64_t keep;
  std::uint64_t set;
  std::uint64_t minus_zero;
  std::size_t elem_bytes;
};

constexpr std::uint64_t every_16_bits(std::uint64_t bits) {
  return bits * 0x0001000100010001U;
}
constexpr std::uint64_t every_8_bits(std::uint64_t bits) {
  return bits * 0x0101010101010101U;
}
constexpr std::uint64_t every_32_bits(std::uint64_t bits) {
  return bits * 0x0000000100000001U;
}

BitPattern pattern_of(DType dtype) {
  switch (dtype) {
    case DType::kBf16:  // s eeeeeeee mmmmmmm, bias 127: exponents 120 to 127
      return {every_16_bits(0x83ff), every_16_bits(0x3c00), 0x8000, 2};
    case DType::kFp16:  // s eeeee mmmmmmmmmm, bias 15: exponents 8 to 15
      return {every_16_bits(0x9fff), every_16_bits(0x2000), 0x8000, 2};
    case DType::kFp32:  // s eeeeeeee m(23), bias 127: exponents 120 to 127
      return {every_32_bits(0x83ffffff), every_32_bits(0x3c000000), 0x80000000, 4};
    default:  // fp8 e4m3, s eeee mmm, bias 7: exponents 0 (zero and subnormals) to 7
      return {every_8_bits(0xbf), 0, 0x80, 1};
  }
}

// Little-endian, eight bytes of the row per hash.
void fill_bits(
    std::byte* dst, std::size_t bytes, std::uint64_t key, std::uint64_t keep, std::uint64_t set) {
  std::size_t i = 0;
  for (; i + sizeof(std::uint64_t) <= bytes; i += sizeof(std::uint64_t)) {
    const std::uint64_t word = (mix_bits(key + i) & keep) | set;
    std::memcpy(dst + i, &word, sizeof(word));
  }
  if (i < bytes) {
    const std::uint64_t word = (mix_bits(key + i) & keep) | set;
    std::memcpy(dst + i, &word, bytes - i);
  }
}

void fill_row(const RowFormat& format, std::uint64_t key, std::byte* dst) {
  const BitPattern pattern = pattern_of(format.dtype);
  const auto num_elems = static_cast<std::size_t>(format.hidden);
  fill_bits(dst, num_elems * pattern.elem_bytes, key, pattern.keep, pattern.set);
  // A sum that starts at +0 must turn -0 into +0; rows with one keep that honest.
  const std::size_t elem = mix_bits(~key) % num_elems;
  std::memcpy(dst + elem * pattern.elem_bytes, &pattern.minus_zero, pattern.elem_bytes);
}

}  // namespace

void fill_token_row(const RowFormat& format, TokenId id, std::byte* dst) {
  fill_row(format, stream_key(format.seed, Purpose::kToken, id, 0), dst);
}

void fill_expert_row(const RowFormat& format, TokenId id, int producer, std::byte* dst) {
  fill_row(format, stream_key(format.seed, Purpose::kExpert, id, producer), dst);
}

void fill_token_scales(const RowFormat& format,
                       protocol::ScaleFormat scales,
                       TokenId id,
                       std::byte* dst) {
  const std::size_t bytes = scale_bytes_per_row(scales, format.hidden);
  const std::uint64_t key = stream_key(format.seed, Purpose::kScales, id, 0);
  if (scales == protocol::ScaleFormat::kFp32) {
    fill_bits(dst, bytes, key, every_32_bits(0x03ffffff), every_32_bits(0x3c000000));
  } else {
    fill_bits(dst, bytes, key, every_8_bits(0x07), every_8_bits(0x78));  // 120 to 127: 2^-7 to 1
  }
}

RowFormat token_format(const Workload& workload) {
  return {workload.dtype, workload.hidden, workload.seed};
}

RowFormat expert_format(const Workload& workload) {
  return {workload.combine_dtype(), workload.hidden, workload.seed};
}

RankInputs::RankInputs(const Workload& workload, int rank, RankRouting routing)
    : workload_(workload), routing_(std::move(routing)) {
  const auto num_tokens = static_cast<std::size_t>(routing_.num_tokens);
  const std::size_t scale_bytes = scale_bytes_per_row(workload.carried_scales, workload.hidden);
  x_ = AlignedBuffer(num_tokens * workload.row_bytes());
  scales_ = AlignedBuffer(num_tokens * scale_bytes);
  const RowFormat format = token_format(workload);
  for (std::size_t token = 0; token < num_tokens; ++token) {
    const TokenId id{rank, static_cast<int>(token)};
    fill_token_row(format, id, x_.data() + token * workload.row_bytes());
    fill_token_scales(format, workload.carried_scales, id, scales_.data() + token * scale_bytes);
  }
}

ConstTensorView RankInputs::x() const {
  return {x_.data(), workload_.dtype, {routing_.num_tokens, workload_.hidden}};
}

ConstTensorView RankInputs::topk_weights() const {
  return {routing_.topk_weights.data(), DType::kFp32, {routing_.num_tokens, routing_.topk}};
}

DispatchRequest RankInputs::request() const {
  DispatchRequest request;
  request.x = x();
  if (workload_.carried_scales != protocol::ScaleFormat::kNone) {
    const DType dtype =
        workload_.carried_scales == protocol::ScaleFormat::kFp32 ? DType::kFp32 : DType::kUe8m0x4;
    const auto num_scales = static_cast<std::int64_t>(
        scale_bytes_per_row(workload_.carried_scales, workload_.hidden) / dtype_bytes(dtype));
    request.scales = {scales_.data(), dtype, {routing_.num_tokens, num_scales}};
  }
  request.topk_idx = {
      routing_.topk_idx.data(), DType::kInt64, {routing_.num_tokens, routing_.topk}};
  request.topk_weights = topk_weights();
  request.num_experts = workload_.num_experts;
  request.layout = workload_.layout;
  request.expert_alignment = workload_.expert_alignment;
  request.zero_padding = workload_.zero_padding;
  request.max_tokens = workload_.layout == Layout::kPadded ? workload_.places() : 0;
  request.quantize = workload_.quantize;
  return request;
}

}  // namespace switchyard::bench
