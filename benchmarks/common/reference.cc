#include "benchmarks/common/reference.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "benchmarks/common/token_data.h"
#include "switchyard/error.h"

namespace switchyard::bench {

namespace {

std::size_t to_size(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

std::int64_t align_up(std::int64_t value, std::int64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

// Rows of one kind lie together: those of a destination rank (rank-major) or of an expert (the
// others).
struct RowKey {
  int rank = 0;
  int expert = 0;
  std::size_t bin = 0;  // index of the kind
};

}  // namespace

// Counts all entries of all ranks, then walks each source's tokens in order and hands every row its
// place.
struct Reference::Builder {
  Reference& ref;
  const Workload& workload;
  std::size_t num_ranks;
  std::size_t num_bins;
  std::vector<std::int64_t> bin_counts;     // [bin][source]
  std::vector<std::int64_t> expert_counts;  // [expert][source]: distinct (token, expert) pairs
  std::vector<std::int64_t> first_rows;  // [bin][source]: where that source's rows of the bin begin

  explicit Builder(Reference& reference)
      : ref(reference),
        workload(reference.workload_),
        num_ranks(to_size(workload.num_ranks)),
        num_bins(to_size(by_rank() ? workload.num_ranks : workload.num_experts)),
        bin_counts(num_bins * num_ranks),
        expert_counts(to_size(workload.num_experts) * num_ranks),
        first_rows(num_bins * num_ranks) {}

  [[nodiscard]] bool by_rank() const { return workload.layout == Layout::kRankMajor; }

  [[nodiscard]] RowKey key_of(std::int64_t expert) const {
    const int rank = workload.rank_of_expert(expert);
    return {rank, static_cast<int>(expert), to_size(by_rank() ? rank : expert)};
  }

  // Calls visit(token, k, key, is_new_row) for every entry of a source that is not -1, in order.
  template <class Visit>
  void for_each_entry(const RankRouting& source, Visit visit) const {
    const auto topk = to_size(source.topk);
    for (std::size_t token = 0; token < to_size(source.num_tokens); ++token) {
      const std::int64_t* experts = source.topk_idx.data() + token * topk;
      for (std::size_t k = 0; k < topk; ++k) {
        if (experts[k] < 0) {
          continue;
        }
        const RowKey key = key_of(experts[k]);
        const bool is_new = std::none_of(experts, experts + k, [&](std::int64_t earlier) {
          return earlier >= 0 && key_of(earlier).bin == key.bin;
        });
        visit(token, k, key, is_new);
      }
    }
  }

  void count() {
    for (std::size_t source = 0; source < num_ranks; ++source) {
      const RankRouting& routing = (*ref.all_)[source];
      const auto topk = to_size(routing.topk);
      for_each_entry(routing, [&](std::size_t token, std::size_t k, RowKey key, bool is_new) {
        bin_counts[key.bin * num_ranks + source] += is_new ? 1 : 0;
        const auto begin = routing.topk_idx.begin() + static_cast<std::ptrdiff_t>(token * topk);
        const auto end = begin + static_cast<std::ptrdiff_t>(k);
        const bool first_naming = std::find(begin, end, key.expert) == end;
        expert_counts[to_size(key.expert) * num_ranks + source] += first_naming ? 1 : 0;
      });
    }
  }

  // Where each source's rows of each bin begin, and how many rows this rank has with padding.
  std::int64_t place() {
    const bool padded = workload.layout == Layout::kPadded;
    const auto bins_per_rank = num_bins / num_ranks;
    std::int64_t rows_here = 0;
    for (std::size_t dest = 0; dest < num_ranks; ++dest) {
      std::int64_t row = 0;
      for (std::size_t bin = dest * bins_per_rank; bin < (dest + 1) * bins_per_rank; ++bin) {
        for (std::size_t source = 0; source < num_ranks; ++source) {
          first_rows[bin * num_ranks + source] = row;
          row += padded ? workload.places() : bin_counts[bin * num_ranks + source];
        }
        row = workload.layout == Layout::kExpertMajor ? align_up(row, workload.expert_alignment)
                                                      : row;
      }
      rows_here = static_cast<int>(dest) == ref.rank_ ? row : rows_here;
    }
    return rows_here;
  }

  // Calls visit(token, k, key, row) for every entry of a source that is not -1; entries of one row
  // share its index.
  template <class Visit>
  void for_each_row(std::size_t source, Visit visit) const {
    std::vector<std::int64_t> next(num_bins);
    for (std::size_t bin = 0; bin < num_bins; ++bin) {
      next[bin] = first_rows[bin * num_ranks + source];
    }
    for_each_entry((*ref.all_)[source],
                   [&](std::size_t token, std::size_t k, RowKey key, bool is_new) {
                     next[key.bin] += is_new ? 1 : 0;
                     visit(token, k, key, next[key.bin] - 1);
                   });
  }

  void build_destination(std::int64_t num_rows) const {
    ref.rows_.resize(to_size(num_rows));
    for (std::size_t source = 0; source < num_ranks; ++source) {
      for_each_row(source, [&](std::size_t token, std::size_t, RowKey key, std::int64_t row) {
        if (key.rank == ref.rank_) {
          ref.rows_[to_size(row)] = {static_cast<std::int32_t>(source),
                                     static_cast<std::int32_t>(token),
                                     by_rank() ? -1 : key.expert % workload.experts_per_rank()};
        }
      });
    }
  }

  void build_counts(std::int64_t num_rows) const {
    const auto experts_per_rank = to_size(workload.experts_per_rank());
    const std::size_t first_expert = to_size(ref.rank_) * experts_per_rank;
    const std::size_t bins_per_rank = num_bins / num_ranks;
    const std::size_t first_bin = to_size(ref.rank_) * bins_per_rank;
    ref.rows_from_rank_.resize(num_ranks);
    ref.rows_per_expert_.resize(experts_per_rank);
    for (std::size_t source = 0; source < num_ranks; ++source) {
      for (std::size_t bin = first_bin; bin < first_bin + bins_per_rank; ++bin) {
        ref.rows_from_rank_[source] +=
            static_cast<std::int32_t>(bin_counts[bin * num_ranks + source]);
        ref.num_landed_ += bin_counts[bin * num_ranks + source];
      }
    }
    for (std::size_t local = 0; local < experts_per_rank; ++local) {
      for (std::size_t source = 0; source < num_ranks; ++source) {
        const auto count =
            static_cast<std::int32_t>(expert_counts[(first_expert + local) * num_ranks + source]);
        ref.rows_per_expert_and_rank_.push_back(count);
        ref.rows_per_expert_[local] += count;
      }
      if (!by_rank()) {
        ref.expert_offsets_.push_back(first_rows[(first_expert + local) * num_ranks]);
      }
    }
    if (!by_rank()) {
      ref.expert_offsets_.push_back(num_rows);
    }
  }

  void build_source() const {
    const RankRouting& mine = (*ref.all_)[to_size(ref.rank_)];
    const auto topk = to_size(mine.topk);
    ref.row_of_entry_.assign(mine.topk_idx.size(), -1);
    ref.rank_of_entry_.assign(mine.topk_idx.size(), -1);
    ref.rows_to_rank_.resize(num_ranks);
    ref.tokens_to_rank_.resize(num_ranks);
    for_each_row(to_size(ref.rank_),
                 [&](std::size_t token, std::size_t k, RowKey key, std::int64_t row) {
                   ref.row_of_entry_[token * topk + k] = static_cast<std::int32_t>(row);
                   ref.rank_of_entry_[token * topk + k] = key.rank;
                 });
    ref.first_contribution_.push_back(0);
    for (std::size_t token = 0; token < to_size(ref.num_tokens_); ++token) {
      add_contributions(mine, token);
      ref.first_contribution_.push_back(ref.contributions_.size());
    }
  }

  void add_contributions(const RankRouting& mine, std::size_t token) const {
    const auto topk = to_size(mine.topk);
    const std::int32_t* rows = ref.row_of_entry_.data() + token * topk;
    const std::int32_t* ranks = ref.rank_of_entry_.data() + token * topk;
    const std::size_t first = ref.contributions_.size();
    for (std::size_t k = 0; k < topk; ++k) {
      if (ranks[k] < 0) {
        continue;
      }
      const auto known = std::find_if(
          ref.contributions_.begin() + static_cast<std::ptrdiff_t>(first),
          ref.contributions_.end(),
          [&](const Contribution& c) { return c.rank == ranks[k] && c.row == rows[k]; });
      if (known != ref.contributions_.end()) {
        known->weight += mine.topk_weights[token * topk + k];
        continue;
      }
      const int producer = by_rank() ? ranks[k] : static_cast<int>(mine.topk_idx[token * topk + k]);
      ref.contributions_.push_back(
          {ranks[k], rows[k], producer, mine.topk_weights[token * topk + k], false});
    }
    order_groups(std::span(ref.contributions_).subspan(first), std::span(ranks, topk));
    for (std::size_t i = first; i < ref.contributions_.size(); ++i) {
      ++ref.rows_to_rank_[to_size(ref.contributions_[i].rank)];
      ref.tokens_to_rank_[to_size(ref.contributions_[i].rank)] +=
          ref.contributions_[i].closes_group ? 1 : 0;
    }
  }

  // Ranks by their last top-k position; rows of a rank stay in top-k order.
  static void order_groups(std::span<Contribution> rows, std::span<const std::int32_t> ranks) {
    const auto last_position = [&](int rank) {
      return std::find(ranks.rbegin(), ranks.rend(), rank).base() - ranks.begin();
    };
    std::stable_sort(rows.begin(), rows.end(), [&](const Contribution& a, const Contribution& b) {
      return last_position(a.rank) < last_position(b.rank);
    });
    for (std::size_t i = 0; i < rows.size(); ++i) {
      rows[i].closes_group = i + 1 == rows.size() || rows[i + 1].rank != rows[i].rank;
    }
  }
};

Reference::Reference(const Workload& workload,
                     int rank,
                     std::shared_ptr<const std::vector<RankRouting>> all)
    : workload_(workload), rank_(rank), all_(std::move(all)) {
  workload.validate();
  if (all_ == nullptr || all_->size() != to_size(workload.num_ranks) || rank < 0 ||
      rank >= workload.num_ranks) {
    throw InvalidArgument(
        fmt::format("reference: got rank {} and the routing of {} ranks, wanted a rank of {}",
                    rank,
                    all_ == nullptr ? 0 : all_->size(),
                    workload.num_ranks));
  }
  num_tokens_ = (*all_)[to_size(rank)].num_tokens;
  Builder builder(*this);
  builder.count();
  const std::int64_t num_rows = builder.place();
  builder.build_destination(num_rows);
  builder.build_counts(num_rows);
  builder.build_source();
}

std::span<const Contribution> Reference::contributions(int token) const {
  const std::size_t first = first_contribution_[to_size(token)];
  return std::span(contributions_).subspan(first, first_contribution_[to_size(token) + 1] - first);
}

void fill_expert_rows(const Reference& reference, const TensorView& x) {
  const Workload& workload = reference.workload();
  const auto wanted_elems = static_cast<std::int64_t>(reference.rows().size()) * workload.hidden;
  if (x.dtype != workload.combine_dtype() || x.num_elems() != wanted_elems) {
    throw InvalidArgument(fmt::format("expert rows: got {} elements of {}, wanted {} of {}",
                                      x.num_elems(),
                                      dtype_name(x.dtype),
                                      wanted_elems,
                                      dtype_name(workload.combine_dtype())));
  }
  const RowFormat format = expert_format(workload);
  std::byte* dst = static_cast<std::byte*>(x.data);
  for (const LandedRow& row : reference.rows()) {
    if (row.source_rank >= 0) {
      const int producer = row.local_expert < 0
                               ? reference.rank()
                               : reference.rank() * workload.experts_per_rank() + row.local_expert;
      fill_expert_row(format, {row.source_rank, row.token}, producer, dst);
    }
    dst += workload.combine_row_bytes();
  }
}

}  // namespace switchyard::bench
