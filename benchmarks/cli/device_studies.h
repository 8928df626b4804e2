// The studies of `switchyard bench --study`: which measurements each consists of, and the file that
// comes of it. What a measurement is, is the caller's: studies only ask for some.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "benchmarks/cli/bench_options.h"
#include "benchmarks/cli/case_samples.h"
#include "benchmarks/cuda/cuda_machine.h"

namespace switchyard::bench {

/// In the order in which `all` runs them.
std::vector<std::string> study_names();

/// One measurement, and what tells it from the others of its study.
struct StudyCase {
  BenchOptions options{};
  nlohmann::ordered_json labels{};
};

/// `base`: settled options, whose shape (hidden, experts, top-k, routing, iterations) is kept.
/// Cases that need more SMs than the GPU has, or more GPUs than there are, are left out.
std::vector<StudyCase> study_cases(const std::string& name,
                                   const BenchOptions& base,
                                   const GpuProbe& probe);

/// What a measurement gave; `problem` is for people, and then there are no results.
struct StudyOutcome {
  std::vector<OpResult> results{};
  std::string problem{};
};
using MeasureCase = std::function<StudyOutcome(const BenchOptions&)>;

/// Every case of a study, one after the other: a document with one entry for each result, each with
/// the case's labels; a case that failed has "problem" in place of figures.
nlohmann::ordered_json run_study(const std::string& name,
                                 const std::vector<StudyCase>& cases,
                                 const MeasureCase& measure);

/// No wrong byte and no case that failed.
bool study_passed(const nlohmann::ordered_json& document);

/// "2026-11-24_nvidia-h200_sweep-sms.json"
std::string study_file(const std::string& date, const std::string& gpu, const std::string& name);

}  // namespace switchyard::bench
