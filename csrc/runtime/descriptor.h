// What all ranks must agree on before an operation moves anything: a list of named fields, its hash
// (the signature that travels with the first message) and the words for a disagreement.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "csrc/protocol/operation.h"

namespace switchyard::runtime {

enum class Field : std::uint8_t {
  kKind,         ///< 1 dispatch, 2 combine
  kHandleEpoch,  ///< dispatch whose handle is used, 0 for none
  kLayout,
  kDType,
  kHidden,
  kTopk,
  kNumExperts,
  kIndexBytes,
  kWeights,  ///< dispatch: weights are carried; combine: row_topk_weights are summed
  kAlignment,
  kZeroPadding,
  kMaxTokens,
  kQuantize,
  kScaleWords,      ///< 32-bit words of scales a row
  kPreviousPadded,  ///< padded layout: epoch of the padded dispatch before, 0 for none or after a
                    ///< failure
};
inline constexpr std::size_t kNumFields = 15;

class Descriptor {
 public:
  void set(Field field, std::int64_t value) {
    values_[static_cast<std::size_t>(field)] = static_cast<std::uint32_t>(value);
  }
  [[nodiscard]] std::uint32_t get(Field field) const {
    return values_[static_cast<std::size_t>(field)];
  }
  [[nodiscard]] std::uint32_t signature() const;

  /// As it lies in a heap, the number of the operation left out; and back, nothing if it is another
  /// operation's. Shapes: `tag` is epoch_tag of the operation
  [[nodiscard]] protocol::OperationDescriptor plain() const;
  static std::optional<Descriptor> from(const protocol::OperationDescriptor& plain,
                                        std::uint32_t tag);

  /// Leaves the fields where peers can read them. Ordering: before the operation's first message.
  void publish(const protocol::OperationArgs& op) const;
  /// The fields of `peer` for the operation, if it has not gone on since.
  static std::optional<Descriptor> read(const protocol::OperationArgs& op, int peer);

  /// "hidden: rank 3 has 4096, this rank 7168; ..." for every field that differs.
  [[nodiscard]] std::string differences(const Descriptor& other, int other_rank) const;

 private:
  std::array<std::uint32_t, kNumFields> values_{};
};

/// 32-bit hash of words; equal on every machine of one byte order.
std::uint32_t hash_words(const std::uint32_t* words, std::size_t count);

}  // namespace switchyard::runtime
