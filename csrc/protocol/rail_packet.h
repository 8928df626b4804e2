// What one token is on its way to another node, and what comes back of it. Sender, receiver and
// tests compute every offset from here.
//
//   packet | payload | scales | route |          each part a multiple of 16 bytes
//   route  | token, and whether weighted | check | expert [K] | ordinal [K] | weight [K] | opener [K] bytes | pad |
//   sum    | row | note |
//   note   | token | check | weight [K], where top-k weights are summed | pad |
//
// Experts are numbered within the node that the packet goes to, -1 for those of other nodes. A
// packet without payload and scales asks for a sum.
#pragma once

#include <cstdint>

#include "csrc/protocol/operation.h"
#include "csrc/protocol/packet.h"
#include "csrc/protocol/token_entries.h"
#include "csrc/protocol/warp.h"

namespace switchyard::protocol {

/// Units: bytes, unless they say words (32 bits).
struct RailPacketLayout {
  std::uint32_t payload_bytes = 0;
  std::uint32_t scales_bytes = 0;
  std::uint32_t topk = 0;

  static constexpr std::uint32_t kTokenWord = 0;
  static constexpr std::uint32_t kCheckWord = 1;
  static constexpr std::uint32_t kFirstExpertWord = 2;
  static constexpr std::uint32_t kOpenersPerWord = 4;
  static constexpr std::uint32_t kWeightedBit = 1U << 31U;  ///< of the token word

  SY_HOST_DEVICE constexpr std::uint32_t ordinal_word() const { return kFirstExpertWord + topk; }
  SY_HOST_DEVICE constexpr std::uint32_t weight_word() const { return ordinal_word() + topk; }
  SY_HOST_DEVICE constexpr std::uint32_t opener_word() const { return weight_word() + topk; }
  SY_HOST_DEVICE constexpr std::uint32_t route_words() const {
    const std::uint32_t used = opener_word() + (topk + kOpenersPerWord - 1) / kOpenersPerWord;
    return static_cast<std::uint32_t>(round_up(used, kPartAlignment / 4));
  }
  SY_HOST_DEVICE constexpr std::uint32_t scales_offset() const { return payload_bytes; }
  SY_HOST_DEVICE constexpr std::uint32_t route_offset() const {
    return scales_offset() + scales_bytes;
  }
  SY_HOST_DEVICE constexpr std::uint32_t packet_bytes() const {
    return route_offset() + route_words() * 4;
  }
};
inline constexpr std::uint32_t kMaxRouteWords = RailPacketLayout{0, 0, kMaxTopk}.route_words();

struct RailSumLayout {
  std::uint32_t row_bytes = 0;
  std::uint32_t num_weights = 0;  ///< top-k, or 0

  static constexpr std::uint32_t kTokenWord = 0;
  static constexpr std::uint32_t kCheckWord = 1;
  static constexpr std::uint32_t kFirstWeightWord = 2;

  SY_HOST_DEVICE constexpr std::uint32_t note_words() const {
    return static_cast<std::uint32_t>(round_up(kFirstWeightWord + num_weights, kPartAlignment / 4));
  }
  SY_HOST_DEVICE constexpr std::uint32_t packet_bytes() const {
    return row_bytes + note_words() * 4;
  }
};
inline constexpr std::uint32_t kMaxNoteWords = RailSumLayout{0, kMaxTopk}.note_words();

/// Sets the check, so that all words add up to what is wanted of source and destination.
SY_HOST_DEVICE inline void seal_words(std::uint32_t* words,
                                      std::uint32_t num_words,
                                      std::uint32_t check_word,
                                      std::uint32_t wanted) {
  words[check_word] = 0;
  std::uint32_t sum = 0;
  for (std::uint32_t i = 0; i < num_words; ++i) {
    sum += words[i];
  }
  words[check_word] = wanted - sum;
}

/// Writes the route of a token into its packet, for the ranks that `entries` speaks of.
template <Warp W>
SY_HOST_DEVICE void store_route(W& warp,
                                std::byte* to,
                                const RailPacketLayout& layout,
                                const TokenEntries& entries,
                                std::int32_t experts_per_rank,
                                std::uint32_t wanted) {
  std::uint32_t words[kMaxRouteWords] = {};
  words[RailPacketLayout::kTokenWord] = static_cast<std::uint32_t>(entries.token) |
                                        (entries.weighted ? RailPacketLayout::kWeightedBit : 0U);
  for (std::int32_t k = 0; k < entries.num; ++k) {
    const auto entry = static_cast<std::uint32_t>(k);
    const bool is_there = entries.rank[k] >= 0;
    const std::int32_t expert =
        is_there ? entries.rank[k] * experts_per_rank + entries.local[k] : -1;
    words[RailPacketLayout::kFirstExpertWord + entry] = static_cast<std::uint32_t>(expert);
    words[layout.ordinal_word() + entry] = static_cast<std::uint32_t>(entries.ordinal[k]);
    words[layout.weight_word() + entry] = entries.weight[k];
    words[layout.opener_word() + entry / RailPacketLayout::kOpenersPerWord] |=
        std::uint32_t{entries.opener[k]} << 8U * (entry % RailPacketLayout::kOpenersPerWord);
  }
  seal_words(words, layout.route_words(), RailPacketLayout::kCheckWord, wanted);
  warp.store_words(to, words, layout.route_words());
}

/// Seals the note of a sum and writes it.
template <Warp W>
SY_HOST_DEVICE void store_note(W& warp,
                               std::byte* to,
                               const RailSumLayout& layout,
                               std::uint32_t* words,
                               std::uint32_t wanted) {
  seal_words(words, layout.note_words(), RailSumLayout::kCheckWord, wanted);
  warp.store_words(to, words, layout.note_words());
}

/// What a forwarder must know to trust a route.
struct RouteBounds {
  std::int32_t num_ranks = 0;
  std::int32_t experts_per_rank = 1;
  bool row_per_expert = false;
  /// [num_ranks][experts_per_rank or 1] rows that the source has for each
  const std::int32_t* rows = nullptr;
};

/// The entries of a token of another node, copied out of its packet.
struct RelayedToken {
  TokenEntries entries;
  std::int32_t ordinal[kMaxTopk];
  std::uint8_t opener[kMaxTopk];

  RelayedToken() = default;
  RelayedToken(const RelayedToken&) = delete;
  RelayedToken& operator=(const RelayedToken&) = delete;

  /// False when the words are not what their sender sealed, or cannot be.
  template <Warp W>
  SY_HOST_DEVICE bool read(W& warp,
                           const std::byte* from,
                           const RailPacketLayout& layout,
                           const RouteBounds& bounds,
                           std::uint32_t wanted) {
    const auto* words = reinterpret_cast<const std::uint32_t*>(from);
    if (warp.sum_words(words, layout.route_words()) != wanted) {
      return false;
    }
    const std::uint32_t token = warp.load_word(words + RailPacketLayout::kTokenWord);
    entries.token = static_cast<std::int32_t>(token & ~RailPacketLayout::kWeightedBit);
    entries.weighted = (token & RailPacketLayout::kWeightedBit) != 0;
    entries.num = static_cast<std::int32_t>(layout.topk);
    entries.opener = opener;
    entries.ordinal = ordinal;
    entries.has_duplicates = true;
    bool sound = true;
    for (std::uint32_t k = 0; k < layout.topk; ++k) {
      const std::uint32_t openers =
          warp.load_word(words + layout.opener_word() + k / RailPacketLayout::kOpenersPerWord);
      opener[k] =
          static_cast<std::uint8_t>(openers >> 8U * (k % RailPacketLayout::kOpenersPerWord));
      ordinal[k] = static_cast<std::int32_t>(warp.load_word(words + layout.ordinal_word() + k));
      entries.weight[k] = warp.load_word(words + layout.weight_word() + k);
      const auto expert =
          static_cast<std::int32_t>(warp.load_word(words + RailPacketLayout::kFirstExpertWord + k));
      sound = sound && take_expert(bounds, static_cast<int>(k), expert);
    }
    return sound;
  }

 private:
  /// Rows will be written, or read, where an entry says.
  SY_HOST_DEVICE bool take_expert(const RouteBounds& bounds, int k, std::int32_t expert) {
    if (expert == -1) {
      entries.rank[k] = -1;
      entries.local[k] = 0;
      return true;
    }
    if (expert < 0 || expert >= bounds.num_ranks * bounds.experts_per_rank || opener[k] > k) {
      return false;
    }
    entries.rank[k] = expert / bounds.experts_per_rank;
    entries.local[k] = expert % bounds.experts_per_rank;
    const std::int32_t rows = bounds.rows[bounds.row_per_expert ? expert : entries.rank[k]];
    return ordinal[k] >= 0 && ordinal[k] < rows;
  }
};

}  // namespace switchyard::protocol
