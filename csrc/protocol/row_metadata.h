// The metadata of the rows that a sender writes: what the words say (packet.h has the layout) and
// how they get there.
#pragma once

#include <cstddef>
#include <cstdint>

#include "csrc/protocol/dispatch_args.h"
#include "csrc/protocol/token_entries.h"
#include "csrc/protocol/warp.h"

namespace switchyard::protocol {

/// Where the row goes that an entry opens.
struct RowPlace {
  std::int32_t rank;  ///< within the node
  std::int32_t row;
  LandingLayout landing;
  std::byte* region;

  SY_HOST_DEVICE std::byte* metadata() const {
    return region + landing.metadata_offset(static_cast<std::uint64_t>(row));
  }
};

/// Writes metadata for one channel and the source that this rank stands for on `node`, or is.
class MetadataWriter {
 public:
  SY_HOST_DEVICE MetadataWriter(const DispatchArgs* args, int channel, int node)
      : args_(args),
        source_(args->op.rail_peer(node)),
        first_run_(channel * args->op.num_sources() + node * args->op.peers.num_ranks),
        sum_(args->op.metadata_sum(source_)) {}

  /// Row per expert: rows of a destination lie scattered, each gets its few words at once.
  template <Warp W>
  SY_HOST_DEVICE void store(W& warp,
                            const TokenEntries& token,
                            int slot,
                            const RowPlace& place,
                            std::int32_t payload_row) const {
    std::uint32_t words[kOneEntryMetadataBytes / sizeof(std::uint32_t)] = {};
    const PacketLayout& packet = args_->problem.packet;
    write_header(words, token.token, payload_row);
    write_index(words + packet.indices_offset() / kWord, token.local[slot], packet.index_bytes);
    words[packet.weights_offset() / kWord] = TokenEntries::float_bits(token.row_weight(slot));
    seal(words);
    warp.store_words(place.metadata(), words, metadata_words());
  }

  /// Rank-major: appends to the run of the destination, and stores the run when it is full; without
  /// staging, stores the row's words at once.
  template <Warp W>
  SY_HOST_DEVICE void append(W& warp, const TokenEntries& token, const RowPlace& place) const {
    if (!gathers()) {
      std::uint32_t words[kMaxMetadataBytes / kWord];
      write_rank_row(words, token, place);
      warp.store_words(place.metadata(), words, metadata_words());
      return;
    }
    MetadataRun& run = args_->staging.runs[run_index(place.rank)];
    if (run.num_rows != 0 && place.row != run.first_row + run.num_rows) {
      store_run(warp, place.rank);  // never of this rank's own tokens
    }
    if (run.num_rows == 0) {
      run.first_row = place.row;
    }
    write_rank_row(
        run_words(place.rank) + static_cast<std::uint32_t>(run.num_rows) * metadata_words(),
        token,
        place);
    if (++run.num_rows == args_->staging.run_rows) {
      store_run(warp, place.rank);
    }
  }

  /// Stores what has been appended for one destination.
  template <Warp W>
  SY_HOST_DEVICE void store_run(W& warp, int rank) const {
    if (!gathers()) {
      return;
    }
    MetadataRun& run = args_->staging.runs[run_index(rank)];
    if (run.num_rows == 0) {
      return;
    }
    const RowPlace first{rank,
                         run.first_row,
                         args_->landing_of(args_->placement.rows_of_rank[rank]),
                         args_->op.peers.at(rank, args_->placement.region_of_rank[rank])};
    warp.store_words(first.metadata(),
                     run_words(rank),
                     static_cast<std::uint32_t>(run.num_rows) * metadata_words());
    run.num_rows = 0;
  }

 private:
  static constexpr std::uint32_t kWord = sizeof(std::uint32_t);
  static constexpr std::uint32_t kCheck = offsetof(MetadataHeader, check) / kWord;

  SY_HOST_DEVICE bool gathers() const { return args_->staging.runs != nullptr; }
  SY_HOST_DEVICE std::int32_t run_index(int rank) const { return first_run_ + rank; }
  SY_HOST_DEVICE std::uint32_t* run_words(int rank) const {
    const std::uint64_t run_bytes = static_cast<std::uint64_t>(args_->staging.run_rows) *
                                    args_->problem.packet.metadata_bytes();
    return reinterpret_cast<std::uint32_t*>(
        args_->staging.bytes + static_cast<std::uint64_t>(run_index(rank)) * run_bytes);
  }
  SY_HOST_DEVICE std::uint32_t metadata_words() const {
    return args_->problem.packet.metadata_bytes() / kWord;
  }

  SY_HOST_DEVICE void write_header(std::uint32_t* words,
                                   std::int32_t token,
                                   std::int32_t payload_row) const {
    words[0] = static_cast<std::uint32_t>(source_);
    words[1] = static_cast<std::uint32_t>(token);
    words[kCheck] = 0;
    words[3] = static_cast<std::uint32_t>(payload_row);
  }

  /// Call when all other words are written.
  SY_HOST_DEVICE void seal(std::uint32_t* words) const {
    const std::uint32_t num_words = metadata_words();
    std::uint32_t sum = 0;
    for (std::uint32_t i = 0; i < num_words; ++i) {
      sum += words[i];
    }
    words[kCheck] = sum_ - sum;
  }

  /// An index of the caller's type, low word first.
  SY_HOST_DEVICE static void write_index(std::uint32_t* words,
                                         std::int32_t index,
                                         std::uint32_t index_bytes) {
    words[0] = static_cast<std::uint32_t>(index);
    if (index_bytes == sizeof(std::int64_t)) {
      words[1] = static_cast<std::uint32_t>(index >> 31);  // the sign goes on
    }
  }

  /// Every entry of the token as the row's rank sees it. Plain loops over local arrays, which
  /// vectorise.
  SY_HOST_DEVICE void write_rank_row(std::uint32_t* words,
                                     const TokenEntries& token,
                                     const RowPlace& place) const {
    const PacketLayout packet = args_->problem.packet;
    const std::uint32_t num_words = metadata_words();
    write_header(words, token.token, place.row);
    std::uint32_t* indices = words + packet.indices_offset() / kWord;
    std::uint32_t* weights = words + packet.weights_offset() / kWord;
    std::int32_t mine[kMaxTopk];  // all bits set where the entry's expert lives with the row
    for (std::int32_t k = 0; k < token.num; ++k) {
      mine[k] = token.rank[k] == place.rank ? -1 : 0;
    }
    if (packet.index_bytes == sizeof(std::int64_t)) {
      for (std::int32_t k = 0; k < token.num; ++k) {
        const std::int32_t index = (token.local[k] & mine[k]) | ~mine[k];
        indices[2 * k] = static_cast<std::uint32_t>(index);
        indices[2 * k + 1] = static_cast<std::uint32_t>(~mine[k]);
      }
    } else {
      for (std::int32_t k = 0; k < token.num; ++k) {
        indices[k] = static_cast<std::uint32_t>((token.local[k] & mine[k]) | ~mine[k]);
      }
    }
    for (std::int32_t k = 0; k < token.num; ++k) {
      weights[k] = token.weight[k] & static_cast<std::uint32_t>(mine[k]);
    }
    for (std::uint32_t* pad = weights + token.num; pad < words + num_words; ++pad) {
      *pad = 0;
    }
    seal(words);
  }

  const DispatchArgs* args_;
  std::int32_t source_;
  std::int32_t first_run_;
  std::uint32_t sum_;
};

}  // namespace switchyard::protocol
