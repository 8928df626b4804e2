// A finished run, and its three forms: a table for people, JSON for programs, CSV for spreadsheets.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "benchmarks/cli/bench_options.h"
#include "benchmarks/cli/case_samples.h"
#include "benchmarks/cli/machine.h"

namespace switchyard::bench {

struct Report {
  std::string version{};
  std::string commit{};
  Machine machine{};
  std::string command{};  ///< as typed
  BenchOptions options{};
  std::vector<double> ranks_per_token{};  ///< of each case
  std::vector<std::string> notices{};     ///< what people should know about the run
  std::vector<OpResult> results{};        ///< dispatch and combine of each case, in turn

  /// No wrong byte anywhere.
  [[nodiscard]] bool verified() const;
};

/// Lines of text, the last one ended too. No line is wider than a wide terminal.
std::string to_table(const Report& report);

/// The schema of docs/benchmarks.md: fields are added, never renamed.
nlohmann::ordered_json to_json(const Report& report);

/// One of its results.
nlohmann::ordered_json result_json(const OpResult& result);

/// A heading line and one line for each result.
std::string to_csv(const Report& report);

/// Errors: SystemError naming the path when it cannot be written
void write_file(const std::string& path, const std::string& text);

}  // namespace switchyard::bench
