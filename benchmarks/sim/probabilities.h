// Lists such as "dead:0.5,slow" on a command line: which of a table's probabilities to set, and
// back from options to text.
#pragma once

#include <fmt/format.h>

#include <charconv>
#include <span>
#include <string>
#include <string_view>

#include "switchyard/error.h"

namespace switchyard::sim {

template <class Options>
struct NamedProbability {
  std::string_view name;
  double Options::*probability;
  double in_all = 0;  ///< its probability under "all"
};

template <class Options>
class ProbabilityList {
 public:
  /// `what`: of what they are, for messages.
  ProbabilityList(std::string_view what, std::span<const NamedProbability<Options>> table)
      : what_(what), table_(table) {}

  /// "NAME:0.5,NAME"; a name without a number means 1. "all": each with its share.
  /// Errors: InvalidArgument naming what is unknown and what there is
  [[nodiscard]] Options parse(std::string_view text) const {
    Options options;
    while (!text.empty()) {
      const std::size_t comma = text.find(',');
      set_one(options, text.substr(0, comma));
      text = comma == std::string_view::npos ? std::string_view{} : text.substr(comma + 1);
    }
    return options;
  }

  /// What parse() reads again: those that are not as they are without a list.
  [[nodiscard]] std::string describe(const Options& options) const {
    std::string text;
    for (const auto& each : table_) {
      const double probability = options.*each.probability;
      if (probability != Options{}.*each.probability) {
        text += fmt::format("{}{}:{}", text.empty() ? "" : ",", each.name, probability);
      }
    }
    return text;
  }

 private:
  [[noreturn]] void refuse(std::string_view got) const {
    std::string names = "all";
    for (const auto& each : table_) {
      names += fmt::format(", {}", each.name);
    }
    throw InvalidArgument(
        fmt::format("{}: got '{}', wanted NAME or NAME:PROBABILITY (0 to 1), by commas, of: {}",
                    what_,
                    got,
                    names));
  }

  void set_one(Options& options, std::string_view item) const {
    const std::size_t colon = item.find(':');
    const std::string_view name = item.substr(0, colon);
    double probability = 1;
    if (colon != std::string_view::npos) {
      const std::string_view number = item.substr(colon + 1);
      const auto [end, error] =
          std::from_chars(number.data(), number.data() + number.size(), probability);
      if (error != std::errc{} || end != number.data() + number.size() || !(probability >= 0) ||
          probability > 1) {
        refuse(item);
      }
    }
    bool known = name == "all";
    for (const auto& each : table_) {
      if (name == "all" || name == each.name) {
        options.*each.probability = name == "all" ? each.in_all * probability : probability;
        known = true;
      }
    }
    if (!known) {
      refuse(item);
    }
  }

  std::string_view what_;
  std::span<const NamedProbability<Options>> table_;
};

}  // namespace switchyard::sim
