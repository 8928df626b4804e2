#include "benchmarks/cli/device_studies.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "benchmarks/cli/report.h"

namespace switchyard::bench {
namespace {

using nlohmann::ordered_json;

constexpr int kTrainTokens = 4096;
constexpr int kMostFloorTokens = 128;
constexpr int kCorrectTokens = 64;
/// Of the bars: bandwidth per SM, and share of the roof.
constexpr int kFewSms = 2;
constexpr int kManySms = 16;

/// Collects the cases of one study.
class Cases {
 public:
  Cases(const BenchOptions& base, const GpuProbe& probe) : base_(base), probe_(probe) {}

  /// A measurement of `num_ranks` virtual ranks on one GPU, with what the study changes.
  template <class Change>
  void add(int num_ranks, int num_sms, const ordered_json& labels, const Change& change) {
    if (num_ranks * num_sms > probe_.num_sms || base_.workload.num_experts % num_ranks != 0) {
      return;
    }
    BenchOptions options = base_;
    options.ranks_as = RanksAs::kThreads;
    options.workload.num_ranks = num_ranks;
    options.device.num_gpus = 1;
    options.device.num_sms = num_sms;
    options.workload.layout = Layout::kRankMajor;
    options.workload.tokens = kTrainTokens;
    options.workload.quantize = Quantize::kNone;
    change(options);
    options.layouts = {options.workload.layout};
    options.tokens = {options.workload.tokens};
    ordered_json all = {{"ranks", num_ranks}, {"cache_hints", options.device.cache_hints}};
    all.update(labels);
    cases_.push_back({options, all});
  }
  void add(int num_ranks, int num_sms, const ordered_json& labels = ordered_json::object()) {
    add(num_ranks, num_sms, labels, [](BenchOptions&) {});
  }

  std::vector<StudyCase> take() { return std::move(cases_); }

 private:
  const BenchOptions& base_;
  const GpuProbe& probe_;
  std::vector<StudyCase> cases_;
};

/// All of a virtual group's common number on one GPU, but for sweeps.
constexpr int kRanks = 8;

void add_correctness(Cases& cases) {
  for (const Layout layout : {Layout::kRankMajor, Layout::kExpertMajor, Layout::kPadded}) {
    for (const Quantize quantize : {Quantize::kNone, Quantize::kFp8ScalesFp32}) {
      cases.add(
          kRanks, kFewSms, {{"quantize", quantize_name(quantize)}}, [&](BenchOptions& options) {
            options.workload.layout = layout;
            options.workload.quantize = quantize;
            options.workload.tokens = kCorrectTokens;
            options.iterations = 10;
          });
    }
  }
}

void add_sweep_sms(Cases& cases) {
  for (const int num_ranks : {2, 4, 8}) {
    for (const int num_sms : {1, 2, 3, 4, 6, 8, 12, 16}) {
      cases.add(num_ranks, num_sms);
    }
  }
}

void add_companion(Cases& cases, CompanionKind kind, const char* name) {
  for (const bool hints : {true, false}) {
    cases.add(kRanks, kFewSms, {{"companion", name}}, [&](BenchOptions& options) {
      options.device.companion = kind;
      options.device.cache_hints = hints;
    });
  }
}

void add_floor(Cases& cases) {
  for (const bool graph : {false, true}) {
    for (const Quantize quantize : {Quantize::kNone, Quantize::kFp8ScalesFp32}) {
      for (int tokens = 1; tokens <= kMostFloorTokens; tokens *= 2) {
        cases.add(kRanks,
                  kManySms,
                  {{"graph", graph}, {"quantize", quantize_name(quantize)}},
                  [&](BenchOptions& options) {
                    options.workload.layout = Layout::kPadded;
                    options.workload.quantize = quantize;
                    options.workload.tokens = tokens;
                    options.device.graph = graph;
                  });
      }
    }
  }
}

void add_passes(Cases& cases) {
  for (const int num_sms : {kFewSms, kManySms}) {
    for (const bool staged : {false, true}) {
      cases.add(
          kRanks, num_sms, {{"variant", staged ? "staged" : "direct"}}, [&](BenchOptions& options) {
            options.device.staged = staged;
          });
    }
  }
}

struct Study {
  const char* name;
  void (*add)(Cases&);
};
constexpr std::array kStudies = {
    Study{"correctness", add_correctness},
    Study{"sweep-sms", add_sweep_sms},
    Study{"interference",
          [](Cases& cases) { add_companion(cases, CompanionKind::kCacheVictim, "cache victim"); }},
    Study{"overlap", [](Cases& cases) { add_companion(cases, CompanionKind::kGemm, "gemm"); }},
    Study{"floor", add_floor},
    Study{"passes", add_passes},
};

ordered_json entry_of(const ordered_json& labels, const ordered_json& figures) {
  ordered_json entry = labels;
  entry.update(figures);
  return entry;
}

}  // namespace

std::vector<std::string> study_names() {
  std::vector<std::string> names;
  for (const Study& study : kStudies) {
    names.emplace_back(study.name);
  }
  return names;
}

std::vector<StudyCase> study_cases(const std::string& name,
                                   const BenchOptions& base,
                                   const GpuProbe& probe) {
  Cases cases(base, probe);
  for (const Study& study : kStudies) {
    if (name == study.name) {
      study.add(cases);
    }
  }
  return cases.take();
}

ordered_json run_study(const std::string& name,
                       const std::vector<StudyCase>& cases,
                       const MeasureCase& measure) {
  ordered_json results = ordered_json::array();
  for (const StudyCase& each : cases) {
    const StudyOutcome outcome = measure(each.options);
    if (!outcome.problem.empty()) {
      results.push_back(entry_of(each.labels, {{"problem", outcome.problem}}));
    }
    for (const OpResult& result : outcome.results) {
      results.push_back(entry_of(each.labels, result_json(result)));
    }
  }
  return {{"study", name}, {"results", results}};
}

bool study_passed(const ordered_json& document) {
  const ordered_json& results = document.at("results");
  return std::all_of(results.begin(), results.end(), [](const ordered_json& entry) {
    return !entry.contains("problem") && entry.at("verified").get<bool>();
  });
}

std::string study_file(const std::string& date, const std::string& gpu, const std::string& name) {
  std::string machine;
  for (const char c : gpu) {
    const auto byte = static_cast<unsigned char>(c);
    machine += std::isalnum(byte) != 0 ? static_cast<char>(std::tolower(byte)) : '-';
  }
  return date + "_" + machine + "_" + name + ".json";
}

}  // namespace switchyard::bench
