// The top-k entries of a token as one node sees them: experts of its ranks, and none of others.
#pragma once

#include <cstdint>

#include "csrc/protocol/host_device.h"
#include "switchyard/layout.h"

namespace switchyard::protocol {

/// The route of a rank's tokens (routing::Route) as plain pointers; entries [num_tokens][topk].
struct EntryTables {
  const std::int32_t* expert = nullptr;
  const std::int32_t* rank = nullptr;
  const std::uint8_t* opener = nullptr;
  const std::int32_t* ordinal = nullptr;
  const float* weight = nullptr;  ///< null: not weighted
  std::int32_t topk = 0;
  std::int32_t experts_per_rank = 1;
  bool has_duplicates = false;
};

/// The entries of one token, read once for all its rows. Also keeps the compiler from reading them
/// again after each store, which could have changed them for all it knows.
struct TokenEntries {
  std::int32_t token = 0;
  std::int32_t num = 0;
  std::int32_t rank[kMaxTopk];  ///< within the node, -1 where the entry names no expert of it
  std::int32_t
      local[kMaxTopk];  ///< expert as its rank counts its own; means nothing where rank is -1
  std::uint32_t weight[kMaxTopk];  ///< bits of the fp32 weight, 0 without weights
  const std::uint8_t* opener = nullptr;
  const std::int32_t* ordinal = nullptr;
  bool weighted = false;
  bool has_duplicates = false;  ///< an expert may be named twice

  /// For the node of `num_ranks` ranks that begins with `first_rank`.
  SY_HOST_DEVICE void read(const EntryTables& tables,
                           std::int32_t token_idx,
                           int first_rank,
                           int num_ranks) {
    const std::int64_t first = std::int64_t{token_idx} * tables.topk;
    token = token_idx;
    num = tables.topk;
    for (std::int32_t k = 0; k < num; ++k) {
      const std::int32_t among_all = tables.rank[first + k];
      const std::int32_t among_these = among_all - first_rank;
      // One comparison: a rank before the first wraps.
      const bool is_here =
          static_cast<std::uint32_t>(among_these) < static_cast<std::uint32_t>(num_ranks);
      rank[k] = is_here ? among_these : -1;
      local[k] = tables.expert[first + k] - among_all * tables.experts_per_rank;
    }
    for (std::int32_t k = 0; k < num; ++k) {
      weight[k] = tables.weight == nullptr ? 0U : float_bits(tables.weight[first + k]);
    }
    opener = tables.opener + first;
    ordinal = tables.ordinal + first;
    weighted = tables.weight != nullptr;
    has_duplicates = tables.has_duplicates;
  }

  /// Whether entry `k` opens a row on this node.
  SY_HOST_DEVICE bool opens(int k) const { return opener[k] == k && rank[k] >= 0; }
  SY_HOST_DEVICE bool any() const {
    bool found = false;
    for (std::int32_t k = 0; k < num; ++k) {
      found = found || rank[k] >= 0;
    }
    return found;
  }

  /// Weight of the row of one expert that entry `k` opens: the sum over the entries that share it.
  SY_HOST_DEVICE float row_weight(int k) const {
    float sum = bits_float(weight[k]);
    for (std::int32_t j = k + 1; weighted && has_duplicates && j < num; ++j) {
      if (opener[j] == k) {
        sum += bits_float(weight[j]);
      }
    }
    return sum;
  }

  SY_HOST_DEVICE static std::uint32_t float_bits(float value) {
    union {
      float number;
      std::uint32_t bits;
    } pun = {value};
    return pun.bits;
  }
  SY_HOST_DEVICE static float bits_float(std::uint32_t bits) {
    union {
      std::uint32_t bits;
      float number;
    } pun = {bits};
    return pun.number;
  }
};

}  // namespace switchyard::protocol
