#include "csrc/runtime/descriptor.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <atomic>
#include <cstring>

namespace switchyard::runtime {
namespace {

static_assert(sizeof(protocol::OperationDescriptor::fields) >= kNumFields * sizeof(std::uint32_t));

constexpr std::array<const char*, kNumFields> kFieldNames = {
    "operation (1 dispatch, 2 combine)",
    "handle (number of its dispatch, 0 for none)",
    "layout (0 rank-major, 1 expert-major, 2 padded)",
    "element type of x (0 bf16, 1 fp16, 2 fp32, 3 fp8)",
    "hidden",
    "top-k",
    "num_experts",
    "bytes of a top-k index",
    "weights given",
    "expert_alignment",
    "zero_padding",
    "max_tokens",
    "quantize (0 none, 1 fp32 scales, 2 ue8m0 scales)",
    "32-bit words of scales per row",
    "padded dispatch before (a failed one in flight?)",
};

protocol::OperationDescriptor* slot_of(const protocol::OperationArgs& op, int rank) {
  return reinterpret_cast<protocol::OperationDescriptor*>(
      op.peers.at(rank, op.control.descriptor(op.slot())));
}

}  // namespace

std::uint32_t hash_words(const std::uint32_t* words, std::size_t count) {
  std::array<unsigned char, crypto_generichash_BYTES_MIN> digest{};
  crypto_generichash(digest.data(),
                     digest.size(),
                     reinterpret_cast<const unsigned char*>(words),
                     count * sizeof(std::uint32_t),
                     nullptr,
                     0);
  std::uint32_t hash = 0;
  std::memcpy(&hash, digest.data(), sizeof(hash));
  return hash;
}

std::uint32_t Descriptor::signature() const {
  return hash_words(values_.data(), values_.size());
}

void Descriptor::publish(const protocol::OperationArgs& op) const {
  protocol::OperationDescriptor* slot = slot_of(op, op.peers.rank);
  for (std::size_t i = 0; i < kNumFields; ++i) {
    std::atomic_ref<std::uint32_t>(slot->fields[i]).store(values_[i], std::memory_order_relaxed);
  }
  std::atomic_ref<protocol::Word>(slot->epoch).store(op.epoch, std::memory_order_release);
}

std::optional<Descriptor> Descriptor::read(const protocol::OperationArgs& op, int peer) {
  protocol::OperationDescriptor* slot = slot_of(op, peer);
  const std::atomic_ref<protocol::Word> epoch(slot->epoch);
  if (epoch.load(std::memory_order_acquire) != op.epoch) {
    return std::nullopt;
  }
  Descriptor descriptor;
  for (std::size_t i = 0; i < kNumFields; ++i) {
    descriptor.values_[i] =
        std::atomic_ref<std::uint32_t>(slot->fields[i]).load(std::memory_order_relaxed);
  }
  return descriptor;
}

protocol::OperationDescriptor Descriptor::plain() const {
  protocol::OperationDescriptor plain{};
  std::copy(values_.begin(), values_.end(), plain.fields);
  return plain;
}

std::optional<Descriptor> Descriptor::from(const protocol::OperationDescriptor& plain,
                                           std::uint32_t tag) {
  if (plain.epoch != tag) {
    return std::nullopt;
  }
  Descriptor descriptor;
  std::copy_n(plain.fields, kNumFields, descriptor.values_.begin());
  return descriptor;
}

std::string Descriptor::differences(const Descriptor& other, int other_rank) const {
  std::string text;
  for (std::size_t i = 0; i < kNumFields; ++i) {
    if (values_[i] != other.values_[i]) {
      text += fmt::format("{}{}: rank {} has {}, this rank {}",
                          text.empty() ? "" : "; ",
                          kFieldNames[i],
                          other_rank,
                          other.values_[i],
                          values_[i]);
    }
  }
  return text;
}

}  // namespace switchyard::runtime
