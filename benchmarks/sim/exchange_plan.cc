#include "benchmarks/sim/exchange_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "benchmarks/sim/naive_exchange.h"
#include "benchmarks/sim/reference_math.h"

namespace switchyard::sim {
namespace {

class Dice {
 public:
  explicit Dice(std::mt19937_64& random) : random_(random) {}

  /// In [low, high].
  [[nodiscard]] int between(int low, int high) {
    return low + static_cast<int>(random_() % static_cast<std::uint64_t>(high - low + 1));
  }
  [[nodiscard]] bool one_in(int n) { return random_() % static_cast<std::uint64_t>(n) == 0; }

 private:
  std::mt19937_64& random_;
};

float random_float(std::mt19937_64& random) {
  const auto mantissa = static_cast<float>(random() % 4096 + 1) / 4096.0F;
  const int exponent = static_cast<int>(random() % 12) - 6;
  return std::ldexp(random() % 2 == 0 ? mantissa : -mantissa, exponent);
}

void draw_element_type(DispatchPlan& plan, const ExchangePlan& all, Dice& dice) {
  if (dice.one_in(4)) {
    plan.dtype = DType::kBf16;
    plan.quantize = dice.one_in(2) ? Quantize::kFp8ScalesFp32 : Quantize::kFp8ScalesUe8m0;
    plan.hidden = dice.one_in(3) ? 144 : 16;
  } else if (dice.one_in(6)) {
    plan.dtype = DType::kFp8E4m3;
    plan.carries_scales = dice.one_in(2);
    plan.hidden = dice.one_in(3) ? 144 : 16;
  } else {
    const DType dtypes[] = {DType::kBf16, DType::kFp16, DType::kFp32};
    plan.dtype = dtypes[dice.between(0, 2)];
    plan.hidden = 8 * dice.between(1, 2);
  }
  if (all.wide_rows) {
    plan.hidden = 16 * dice.between(1, 300);
  }
}

/// How the choices of one rank are spread: some seeds send all to one expert, some almost nothing.
void draw_choices(DispatchPlan::Source& source, const DispatchPlan& plan, Dice& dice) {
  const int style = dice.between(0, 4);
  const int favourite = dice.between(0, plan.num_experts - 1);
  const int rarity = dice.between(1, 4);
  for (int i = 0; i < source.num_tokens * plan.topk; ++i) {
    int expert = dice.between(0, plan.num_experts - 1);
    if (style == 0) {
      expert = favourite;
    } else if (style == 1 && !dice.one_in(rarity)) {
      expert = -1;
    } else if (style == 2 && dice.one_in(2)) {
      expert = favourite;
    }
    source.topk_idx.push_back(expert);
  }
}

void draw_rows(DispatchPlan::Source& source, const DispatchPlan& plan, std::mt19937_64& random) {
  const auto tokens = static_cast<std::size_t>(source.num_tokens);
  source.x = random_rows(random, plan.dtype, tokens * static_cast<std::size_t>(plan.hidden));
  source.scales.resize(plan.carries_scales ? tokens * static_cast<std::size_t>(plan.scale_words())
                                           : 0);
  for (std::uint32_t& scale : source.scales) {
    scale = static_cast<std::uint32_t>(random());
  }
  source.caller_output = random() % 3 == 0;
}

DispatchPlan draw_dispatch(const ExchangePlan& all, std::mt19937_64& random) {
  Dice dice(random);
  DispatchPlan plan;
  plan.layout = static_cast<Layout>(dice.between(0, 2));
  plan.topk = dice.between(1, all.max_topk);
  plan.num_experts = all.num_ranks * dice.between(1, all.max_experts_per_rank);
  plan.index_dtype = dice.one_in(2) ? DType::kInt32 : DType::kInt64;
  plan.weighted = dice.one_in(2);
  draw_element_type(plan, all, dice);
  const int most_tokens = dice.between(0, all.max_tokens);
  if (plan.layout == Layout::kExpertMajor) {
    plan.expert_alignment = dice.between(1, 4);
    plan.zero_padding = dice.one_in(2);
  } else if (plan.layout == Layout::kPadded) {
    plan.max_tokens = std::max(1, most_tokens) + dice.between(0, 2);
  }
  plan.sources.resize(static_cast<std::size_t>(all.num_ranks));
  for (DispatchPlan::Source& source : plan.sources) {
    source.num_tokens = dice.one_in(4) ? 0 : dice.between(0, most_tokens);
    draw_choices(source, plan, dice);
    source.topk_weights = random_floats(random, source.topk_idx.size());
    draw_rows(source, plan, random);
  }
  return plan;
}

/// The backward pass: the places of an earlier dispatch, rows of their own type and width.
DispatchPlan draw_follower(const ExchangePlan& all, int follows, std::mt19937_64& random) {
  Dice dice(random);
  DispatchPlan plan = all.dispatches[static_cast<std::size_t>(follows)];
  plan.follows = follows;
  plan.refused_by = -1;
  plan.carries_scales = false;
  plan.quantize = Quantize::kNone;
  draw_element_type(plan, all, dice);
  for (DispatchPlan::Source& source : plan.sources) {
    draw_rows(source, plan, random);
  }
  return plan;
}

/// The same routing once more, counted anew: what a steady decode does, taking permits given ahead.
DispatchPlan draw_repetition(const DispatchPlan& repeated, std::mt19937_64& random) {
  DispatchPlan plan = repeated;
  plan.refused_by = -1;
  for (DispatchPlan::Source& source : plan.sources) {
    draw_rows(source, plan, random);
  }
  return plan;
}

/// One rank gives one row less than lands there; a dispatch that lands nothing there cannot fail
/// so.
void draw_refusal(DispatchPlan& plan, Dice& dice) {
  const int rank = dice.between(0, static_cast<int>(plan.sources.size()) - 1);
  if (dice.one_in(3) && land(plan, rank).num_rows > 0) {
    plan.refused_by = rank;
    plan.sources[static_cast<std::size_t>(rank)].caller_output = true;
  }
}

DispatchPlan draw_next_dispatch(const ExchangePlan& all, bool steady, std::mt19937_64& random) {
  Dice dice(random);
  const auto num_dispatches = static_cast<int>(all.dispatches.size());
  if (num_dispatches > 0 && steady && !dice.one_in(4)) {
    return draw_repetition(all.dispatches.front(), random);
  }
  if (num_dispatches > 0 && dice.one_in(4)) {
    return draw_follower(all, dice.between(0, num_dispatches - 1), random);
  }
  return draw_dispatch(all, random);
}

CombinePlan draw_combine(const ExchangePlan& all, int dispatch, std::mt19937_64& random) {
  Dice dice(random);
  const DispatchPlan& rows = all.dispatches[static_cast<std::size_t>(dispatch)];
  CombinePlan plan;
  plan.dispatch = dispatch;
  const bool same_type = rows.landed_dtype() != DType::kFp8E4m3;
  plan.dtype = same_type ? rows.dtype : DType::kBf16;
  plan.weighs_rows = dice.one_in(3);
  plan.weighs_entries = rows.layout != Layout::kRankMajor && dice.one_in(2);
  plan.sums_topk_weights = dice.one_in(3);
  plan.num_biases = dice.one_in(2) ? 0 : dice.between(1, 2);
  for (int rank = 0; rank < all.num_ranks; ++rank) {
    plan.expert_rows.push_back(static_cast<ExpertRows>(dice.between(same_type ? 0 : 1, 2)));
    plan.caller_output.push_back(dice.one_in(3));
  }
  plan.data_seed = random();
  return plan;
}

}  // namespace

int DispatchPlan::scale_words() const {
  if (quantize == Quantize::kNone && !carries_scales) {
    return 0;
  }
  const int elems = quantize == Quantize::kFp8ScalesUe8m0 ? 4 * kScaleBlockElems : kScaleBlockElems;
  return (hidden + elems - 1) / elems;
}

std::string DispatchPlan::describe() const {
  std::string tokens;
  for (const Source& source : sources) {
    tokens += fmt::format(" {}{}", source.num_tokens, source.caller_output ? "(caller)" : "");
  }
  return fmt::format(
      "dispatch {} topk {} experts {} hidden {} {} quantize {} max_tokens {} alignment {}{}{}{} "
      "tokens{}",
      layout_name(layout),
      topk,
      num_experts,
      hidden,
      dtype_name(dtype),
      static_cast<int>(quantize),
      max_tokens,
      expert_alignment,
      zero_padding ? " zeroed" : "",
      weighted ? " weighted" : "",
      follows < 0 ? "" : fmt::format(" along dispatch {}", follows),
      refused_by < 0 ? "" : fmt::format(" refused by rank {}", refused_by),
      tokens);
}

std::string CombinePlan::describe() const {
  std::string rows;
  for (std::size_t rank = 0; rank < expert_rows.size(); ++rank) {
    const char* names[] = {"landed", "heap", "private"};
    rows += fmt::format(" {}{}",
                        names[static_cast<std::size_t>(expert_rows[rank])],
                        caller_output[rank] ? "(caller)" : "");
  }
  return fmt::format("combine of dispatch {} {}{}{}{} biases {} rows{}",
                     dispatch,
                     dtype_name(dtype),
                     weighs_rows ? " row_weights" : "",
                     weighs_entries ? " topk_weights" : "",
                     sums_topk_weights ? " row_topk_weights" : "",
                     num_biases,
                     rows);
}

bool ExchangePlan::has_refusals() const {
  return std::any_of(dispatches.begin(), dispatches.end(), [](const DispatchPlan& each) {
    return each.refused_by >= 0;
  });
}

std::string ExchangePlan::describe() const {
  std::string text =
      fmt::format("{} ranks{}, {} channels, {} in flight, chunks of {}, copies by {}\n",
                  num_ranks,
                  num_nodes == 1 ? "" : fmt::format(" on {} nodes", num_nodes),
                  num_channels,
                  max_in_flight,
                  chunk_tokens,
                  expert_copies == ExpertCopies::kBySender ? "sender" : "receiver");
  for (std::size_t i = 0; i < operations.size(); ++i) {
    const auto index = static_cast<std::size_t>(operations[i].index);
    text += fmt::format(
        "  operation {}: {}\n",
        i + 1,
        operations[i].is_dispatch ? dispatches[index].describe() : combines[index].describe());
  }
  return text;
}

namespace {

/// Ranks of a plan, and the nodes that they make up.
void draw_ranks(ExchangePlan& plan, int num_nodes, int min_ranks, int max_ranks, Dice& dice) {
  plan.num_nodes = num_nodes;
  plan.num_ranks = num_nodes * dice.between(min_ranks, max_ranks);
}

}  // namespace

ExchangePlan make_plan(std::uint64_t seed, const PlanLimits& limits) {
  std::mt19937_64 random(seed);
  Dice dice(random);
  ExchangePlan plan;
  draw_ranks(plan, limits.num_nodes, limits.min_ranks, limits.max_ranks, dice);
  plan.num_channels = dice.between(1, limits.max_channels);
  plan.max_in_flight = dice.between(limits.min_in_flight, limits.max_in_flight);
  plan.chunk_tokens = dice.between(1, 3);
  plan.max_tokens = limits.max_tokens;
  plan.max_topk = limits.max_topk;
  plan.max_experts_per_rank = limits.max_experts_per_rank;
  plan.wide_rows = limits.wide_rows;
  plan.expert_copies = dice.one_in(2) ? ExpertCopies::kBySender : ExpertCopies::kByReceiver;
  const bool steady = dice.one_in(4);
  const int num_operations = dice.between(1, limits.max_operations);
  for (int i = 0; i < num_operations; ++i) {
    const auto num_dispatches = static_cast<int>(plan.dispatches.size());
    if (num_dispatches == 0 || dice.one_in(2)) {
      plan.operations.push_back({true, num_dispatches});
      plan.dispatches.push_back(draw_next_dispatch(plan, steady, random));
      if (limits.refusals) {
        draw_refusal(plan.dispatches.back(), dice);
      }
    } else {
      plan.operations.push_back({false, static_cast<int>(plan.combines.size())});
      plan.combines.push_back(draw_combine(plan, dice.between(0, num_dispatches - 1), random));
    }
  }
  return plan;
}

ExchangePlan make_withdrawal_plan(std::uint64_t seed, const PlanLimits& limits) {
  std::mt19937_64 random(seed);
  Dice dice(random);
  ExchangePlan plan;
  const int fewest = limits.num_nodes > 1 ? 1 : 2;
  const int min_ranks = std::max(fewest, limits.min_ranks);
  draw_ranks(plan, limits.num_nodes, min_ranks, std::max(min_ranks, 3), dice);
  plan.num_channels = dice.between(1, 2);
  plan.max_in_flight = 2;
  plan.max_tokens = std::max(1, limits.max_tokens);
  const auto draw = [&](bool padded) {
    DispatchPlan drawn = draw_dispatch(plan, random);
    while ((drawn.layout == Layout::kPadded) != padded || land(drawn, 0).rows.empty()) {
      drawn = draw_dispatch(plan, random);
    }
    return drawn;
  };
  const DispatchPlan steady = draw(true);
  const DispatchPlan between = draw(false);
  for (const char step : std::string_view("ppxpcpxpccpxpcc")) {
    plan.operations.push_back({true, static_cast<int>(plan.dispatches.size())});
    plan.dispatches.push_back(draw_repetition(step == 'p' ? steady : between, random));
    DispatchPlan& drawn = plan.dispatches.back();
    drawn.refused_by = step == 'x' ? 0 : -1;
    drawn.sources.front().caller_output = drawn.sources.front().caller_output || step == 'x';
  }
  return plan;
}

std::vector<std::byte> random_rows(std::mt19937_64& random, DType dtype, std::size_t num_elems) {
  std::vector<std::byte> rows(num_elems * dtype_bytes(dtype));
  for (std::size_t i = 0; i < num_elems; ++i) {
    if (dtype == DType::kFp8E4m3) {
      rows[i] = static_cast<std::byte>(random());
    } else {
      store_element(dtype, rows.data(), i, random_float(random));
    }
  }
  return rows;
}

std::vector<float> random_floats(std::mt19937_64& random, std::size_t count) {
  std::vector<float> floats(count);
  for (float& each : floats) {
    each = random_float(random);
  }
  return floats;
}

}  // namespace switchyard::sim
