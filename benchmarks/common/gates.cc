#include "benchmarks/common/gates.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "switchyard/error.h"

namespace switchyard::bench {

namespace {

// A stream no rank's number reaches: what all ranks draw alike.
constexpr std::uint64_t kSharedStream = std::uint64_t{1} << 40U;

template <class Number>
Number parse_number(std::string_view specification, std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) {
    throw InvalidArgument(
        fmt::format("routing \"{}\": got \"{}\", wanted a number", specification, text));
  }
  return number;
}

double parse_in_range(std::string_view specification, std::string_view text, double most) {
  const auto number = parse_number<double>(specification, text);
  if (!(number >= 0.0 && number <= most)) {
    throw InvalidArgument(fmt::format(
        "routing \"{}\": got {}, wanted a number from 0 to {}", specification, text, most));
  }
  return number;
}

// Distinct experts, every ordered choice alike: the head of a shuffle that goes on from token to
// token.
class UniformGate {
 public:
  explicit UniformGate(int num_experts) : experts_(static_cast<std::size_t>(num_experts)) {
    std::iota(experts_.begin(), experts_.end(), 0);
  }

  void operator()(RandomBits& random, const TokenChoice& choice) {
    for (std::size_t k = 0; k < choice.experts.size(); ++k) {
      std::swap(experts_[k], experts_[k + random.below(experts_.size() - k)]);
      choice.experts[k] = experts_[k];
      choice.scores[k] = 1.0 - random.unit();
    }
  }

 private:
  std::vector<std::int64_t> experts_;
};

// DeepSeek-V3's gate (report, section 2.1.2 and 2.1.4, "node-limited routing") over random scores.
class GroupedGate {
 public:
  GroupedGate(int num_experts, int num_groups, int kept_groups)
      : group_size_(static_cast<std::size_t>(num_experts / num_groups)),
        kept_groups_(static_cast<std::size_t>(kept_groups)),
        scores_(static_cast<std::size_t>(num_experts)),
        groups_(static_cast<std::size_t>(num_groups)) {}

  void operator()(RandomBits& random, const TokenChoice& choice) {
    for (double& score : scores_) {
      score = 1.0 - random.unit();
    }
    rank_groups();
    candidates_.clear();
    for (std::size_t i = 0; i < kept_groups_; ++i) {
      for (std::size_t member = 0; member < group_size_; ++member) {
        const std::size_t expert = groups_[i].second * group_size_ + member;
        candidates_.emplace_back(-scores_[expert], expert);
      }
    }
    const auto best = candidates_.begin() + static_cast<std::ptrdiff_t>(choice.experts.size());
    std::partial_sort(candidates_.begin(), best, candidates_.end());
    for (std::size_t k = 0; k < choice.experts.size(); ++k) {
      choice.experts[k] = static_cast<std::int64_t>(candidates_[k].second);
      choice.scores[k] = -candidates_[k].first;
    }
  }

 private:
  // Best first: negated sums of each group's two best scores, equal ones by index.
  void rank_groups() {
    for (std::size_t group = 0; group < groups_.size(); ++group) {
      double first = 0.0;
      double second = 0.0;
      for (std::size_t member = 0; member < group_size_; ++member) {
        const double score = scores_[group * group_size_ + member];
        second = std::max(second, std::min(first, score));
        first = std::max(first, score);
      }
      groups_[group] = {-(first + second), group};
    }
    std::sort(groups_.begin(), groups_.end());
  }

  std::size_t group_size_;
  std::size_t kept_groups_;
  std::vector<double> scores_;
  std::vector<std::pair<double, std::size_t>> groups_;
  std::vector<std::pair<double, std::size_t>> candidates_;
};

// log2(x) and 2^-y from correctly rounded operations alone: the C library's own may differ in the
// last bit between machines, and with it the drawn experts.
double exact_log2(double x) {
  int exponent = 0;
  double mantissa = std::frexp(x, &exponent) * 2.0;  // [1, 2)
  double result = exponent - 1;
  for (double bit = 0.5; bit > 0x1p-45; bit *= 0.5) {
    mantissa *= mantissa;
    if (mantissa >= 2.0) {
      mantissa *= 0.5;
      result += bit;
    }
  }
  return result;
}

double exact_exp2_negative(double y) {
  const double whole = std::floor(y);
  double rest = y - whole;
  double result = std::ldexp(1.0, -static_cast<int>(whole));
  double root = 2.0;
  for (double bit = 0.5; bit > 0x1p-45; bit *= 0.5) {
    root = std::sqrt(root);
    if (rest >= bit) {
      rest -= bit;
      result /= root;
    }
  }
  return result;
}

// Distinct experts drawn one after another with probability ~ 1 / i^s among those left. Integer
// shares in a Fenwick tree: exact, and log(num_experts) steps for each draw however skewed the
// shares are.
class ZipfGate {
 public:
  ZipfGate(const Workload& workload, double exponent)
      : ids_(static_cast<std::size_t>(workload.num_experts)), tree_(ids_.size() + 1) {
    std::iota(ids_.begin(), ids_.end(), 0);
    RandomBits random(workload.seed, kSharedStream);
    for (std::size_t i = ids_.size(); i > 1; --i) {
      std::swap(ids_[i - 1], ids_[random.below(i)]);
    }
    shares_.reserve(ids_.size());
    for (std::size_t i = 0; i < ids_.size(); ++i) {
      shares_.push_back(share_of(static_cast<double>(i + 1), exponent));
      add(i, shares_[i]);
    }
    top_bit_ = 1;
    while (top_bit_ * 2 < tree_.size()) {
      top_bit_ *= 2;
    }
  }

  void operator()(RandomBits& random, const TokenChoice& choice) {
    drawn_.clear();
    for (std::size_t k = 0; k < choice.experts.size(); ++k) {
      const std::size_t place = find(random.below(total_));
      add(place, std::uint64_t{0} - shares_[place]);
      drawn_.push_back(place);
      choice.experts[k] = ids_[place];
      choice.scores[k] = 1.0 - random.unit();
    }
    for (const std::size_t place : drawn_) {
      add(place, shares_[place]);
    }
  }

 private:
  // Of 2^40, at least 1: the total of 65536 experts stays below 2^56.
  static std::uint64_t share_of(double place, double exponent) {
    const double negative_log = exponent * exact_log2(place);
    return negative_log >= 40.0
               ? 1
               : static_cast<std::uint64_t>(exact_exp2_negative(negative_log) * 0x1p40);
  }

  void add(std::size_t place, std::uint64_t share) {
    total_ += share;
    for (std::size_t i = place + 1; i < tree_.size(); i += i & (~i + 1)) {
      tree_[i] += share;
    }
  }

  // The place whose share covers `point` of the running sum.
  [[nodiscard]] std::size_t find(std::uint64_t point) const {
    std::size_t place = 0;
    for (std::size_t step = top_bit_; step > 0; step /= 2) {
      if (place + step < tree_.size() && tree_[place + step] <= point) {
        place += step;
        point -= tree_[place];
      }
    }
    return place;
  }

  std::vector<std::int64_t> ids_;
  std::vector<std::uint64_t> tree_;
  std::vector<std::uint64_t> shares_;
  std::vector<std::size_t> drawn_;
  std::uint64_t total_ = 0;
  std::size_t top_bit_ = 1;
};

// Uniform, with holes, as expert masks and dropped tokens make them.
class MaskedGate {
 public:
  MaskedGate(int num_experts, double probability)
      : uniform_(num_experts), probability_(probability) {}

  void operator()(RandomBits& random, const TokenChoice& choice) {
    uniform_(random, choice);
    const bool whole_token = random.below(16) == 0;
    for (std::int64_t& expert : choice.experts) {
      if (random.unit() < probability_ || whole_token) {
        expert = -1;
      }
    }
  }

 private:
  UniformGate uniform_;
  double probability_;
};

Gate make_grouped(const Workload& workload,
                  std::string_view specification,
                  std::string_view parameters) {
  int num_groups = 8;  // n_group and topk_group of DeepSeek-V3's config.json
  int kept_groups = 4;
  if (!parameters.empty()) {
    const std::size_t comma = parameters.find(',');
    if (comma == std::string_view::npos) {
      throw InvalidArgument(fmt::format(
          "routing \"{}\": got one number, wanted grouped:<groups>,<kept groups>", specification));
    }
    num_groups = parse_number<int>(specification, parameters.substr(0, comma));
    kept_groups = parse_number<int>(specification, parameters.substr(comma + 1));
  }
  if (num_groups < 1 || workload.num_experts % num_groups != 0) {
    throw InvalidArgument(
        fmt::format("routing \"{}\": got {} groups, wanted a divisor of the {} experts",
                    specification,
                    num_groups,
                    workload.num_experts));
  }
  if (kept_groups < 1 || kept_groups > num_groups ||
      kept_groups * (workload.num_experts / num_groups) < workload.topk) {
    throw InvalidArgument(
        fmt::format("routing \"{}\": got {} kept groups of {} with {} experts each, wanted 1 to {} "
                    "groups that hold the top-{}",
                    specification,
                    kept_groups,
                    num_groups,
                    workload.num_experts / num_groups,
                    num_groups,
                    workload.topk));
  }
  return GroupedGate(workload.num_experts, num_groups, kept_groups);
}

}  // namespace

Gate make_gate(const Workload& workload, std::string_view specification) {
  if (workload.topk > workload.num_experts) {
    throw InvalidArgument(
        fmt::format("topk: got {}, wanted at most the {} experts (routing \"{}\" names none twice)",
                    workload.topk,
                    workload.num_experts,
                    specification));
  }
  const std::size_t colon = specification.find(':');
  const std::string_view kind = specification.substr(0, colon);
  const std::string_view parameters =
      colon == std::string_view::npos ? std::string_view{} : specification.substr(colon + 1);
  if (specification == "uniform") {
    return UniformGate(workload.num_experts);
  }
  if (kind == "grouped" && (colon == std::string_view::npos || !parameters.empty())) {
    return make_grouped(workload, specification, parameters);
  }
  if (kind == "zipf" && !parameters.empty()) {
    return ZipfGate(workload, parse_in_range(specification, parameters, 16.0));
  }
  if (specification == "masked") {
    return MaskedGate(workload.num_experts, 0.25);
  }
  if (kind == "masked" && !parameters.empty()) {
    return MaskedGate(workload.num_experts, parse_in_range(specification, parameters, 1.0));
  }
  throw InvalidArgument(
      fmt::format("routing: got \"{}\", wanted uniform, grouped[:<groups>,<kept>], zipf:<s>, "
                  "masked[:<p>] or file:<path.npy>",
                  specification));
}

}  // namespace switchyard::bench
