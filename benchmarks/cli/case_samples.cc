#include "benchmarks/cli/case_samples.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <map>
#include <span>

namespace switchyard::bench {
namespace {

using nlohmann::json;

json runs_to_json(const TimedRuns& runs) {
  return {{"begin_ns", runs.begin_ns}, {"end_ns", runs.end_ns}};
}

TimedRuns runs_from_json(const json& document) {
  return {.begin_ns = document.at("begin_ns").get<std::vector<std::int64_t>>(),
          .end_ns = document.at("end_ns").get<std::vector<std::int64_t>>()};
}

json op_samples_to_json(const OpSamples& samples) {
  return {{"own", runs_to_json(samples.own)},
          {"roof_streaming", runs_to_json(samples.roof_streaming)},
          {"roof_memcpy", runs_to_json(samples.roof_memcpy)},
          {"peak_bytes", samples.peak_bytes},
          {"rows_checked", samples.rows_checked},
          {"first_mismatch", samples.first_mismatch}};
}

OpSamples op_samples_from_json(const json& document) {
  return {.own = runs_from_json(document.at("own")),
          .roof_streaming = runs_from_json(document.at("roof_streaming")),
          .roof_memcpy = runs_from_json(document.at("roof_memcpy")),
          .peak_bytes = document.at("peak_bytes").get<std::uint64_t>(),
          .rows_checked = document.at("rows_checked").get<std::int64_t>(),
          .first_mismatch = document.at("first_mismatch").get<std::string>()};
}

void append(std::vector<double>& samples, const std::vector<double>& more) {
  samples.insert(samples.end(), more.begin(), more.end());
}

void append(TimedRuns& runs, const TimedRuns& more) {
  runs.begin_ns.insert(runs.begin_ns.end(), more.begin_ns.begin(), more.begin_ns.end());
  runs.end_ns.insert(runs.end_ns.end(), more.end_ns.begin(), more.end_ns.end());
}

void append(OpSamples& samples, const OpSamples& more) {
  append(samples.own, more.own);
  append(samples.roof_streaming, more.roof_streaming);
  append(samples.roof_memcpy, more.roof_memcpy);
  samples.peak_bytes = std::max(samples.peak_bytes, more.peak_bytes);
  samples.rows_checked += more.rows_checked;
  if (samples.first_mismatch.empty()) {
    samples.first_mismatch = more.first_mismatch;
  }
}

std::vector<double> times_us(const std::vector<OpSamples>& by_rank, TimedRuns OpSamples::*runs) {
  std::vector<TimedRuns> all;
  for (const OpSamples& samples : by_rank) {
    all.push_back(samples.*runs);
  }
  return iteration_times_us(all);
}

double gbps(double bytes, double time_us) {
  return time_us > 0.0 ? bytes / time_us / 1e3 : 0.0;
}

// What depends on the bytes that one operation moves.
void set_rates(OpResult& result, const MovedBytes& moved, int num_ranks) {
  const double median_us = result.time_us.median;
  result.payload_bytes = static_cast<double>(moved.payload) / num_ranks;
  result.payload_gbps = gbps(result.payload_bytes, median_us);
  result.wire_gbps = gbps(static_cast<double>(moved.wire) / num_ranks, median_us);
  result.logical_gbps = gbps(static_cast<double>(moved.logical) / num_ranks, median_us);
  result.roof_gbps = gbps(result.payload_bytes, result.roof_us);
  result.roof_share = median_us > 0.0 ? result.roof_us / median_us : 0.0;
}

/// How long the device that most ranks share would take to read and write these bytes once.
double device_roof_us(const MovedBytes& moved,
                      const std::vector<CaseSamples>& by_rank,
                      double copy_gbps) {
  std::map<int, int> ranks_on;
  int most = 0;
  for (const CaseSamples& samples : by_rank) {
    most = std::max(most, ++ranks_on[samples.device]);
  }
  const double share = static_cast<double>(most) / static_cast<double>(by_rank.size());
  return copy_gbps > 0.0 ? static_cast<double>(moved.memory) * share / copy_gbps / 1e3 : 0.0;
}

/// The slowest of the devices.
double copy_gbps_of(const std::vector<CaseSamples>& by_rank) {
  double slowest = 0.0;
  for (const CaseSamples& samples : by_rank) {
    if (!samples.copy_gbps.empty()) {
      const double median = quantile(samples.copy_gbps, 0.5);
      slowest = slowest == 0.0 ? median : std::min(slowest, median);
    }
  }
  return slowest;
}

double median_or_0(const std::vector<double>& samples) {
  return samples.empty() ? 0.0 : quantile(samples, 0.5);
}

/// What only a device has. The roof is not one that was run, but the bytes at the copy rate.
void set_device_figures(OpResult& result,
                        const MovedBytes& moved,
                        const std::vector<CaseSamples>& by_rank) {
  result.num_sms = by_rank.front().num_sms;
  result.companion_alone_us = median_or_0(by_rank.front().companion_alone_us);
  result.companion_beside_us = median_or_0(by_rank.front().companion_beside_us);
  if (result.num_sms == 0) {
    return;
  }
  result.copy_gbps = copy_gbps_of(by_rank);
  result.roof_us = device_roof_us(moved, by_rank, result.copy_gbps);
  set_rates(result, moved, static_cast<int>(by_rank.size()));
  result.gbps_per_sm = result.payload_gbps / result.num_sms;
}

OpResult result_of(const std::string& op,
                   const CasePlan& plan,
                   const MovedBytes& moved,
                   const std::vector<OpSamples>& by_rank) {
  OpResult result{.op = op,
                  .layout = std::string(layout_name(plan.workload.layout)),
                  .tokens = plan.workload.tokens};
  for (const OpSamples& samples : by_rank) {
    result.peak_bytes = std::max(result.peak_bytes, samples.peak_bytes);
    result.rows_checked += samples.rows_checked;
    if (result.first_mismatch.empty()) {
      result.first_mismatch = samples.first_mismatch;
    }
  }
  result.verified = result.first_mismatch.empty();
  const std::vector<double> times = times_us(by_rank, &OpSamples::own);
  result.num_iterations = static_cast<int>(times.size());
  result.time_us = summarize(times);
  const std::vector<double> streaming = times_us(by_rank, &OpSamples::roof_streaming);
  if (!streaming.empty()) {
    result.roof_us = std::min(quantile(streaming, 0.5),
                              quantile(times_us(by_rank, &OpSamples::roof_memcpy), 0.5));
  }
  set_rates(result, moved, plan.workload.num_ranks);
  return result;
}

std::vector<std::byte> gather_bytes(Bootstrap& bootstrap,
                                    const std::string& mine,
                                    std::size_t width) {
  std::vector<std::byte> padded(width);
  std::memcpy(padded.data(), mine.data(), mine.size());
  std::vector<std::byte> all(width * static_cast<std::size_t>(bootstrap.num_ranks()));
  bootstrap.all_gather(padded, all);
  return all;
}

}  // namespace

void append(CaseSamples& samples, const CaseSamples& more) {
  append(samples.dispatch, more.dispatch);
  append(samples.combine, more.combine);
  append(samples.copy_gbps, more.copy_gbps);
  append(samples.companion_alone_us, more.companion_alone_us);
  append(samples.companion_beside_us, more.companion_beside_us);
}

double OpResult::speedup_vs(std::string_view rival) const {
  const auto found = std::find_if(
      rivals.begin(), rivals.end(), [&](const RivalMedian& other) { return other.name == rival; });
  return found == rivals.end() ? 0.0 : found->median_us / time_us.median;
}

json to_json(const CaseSamples& samples) {
  return {{"dispatch", op_samples_to_json(samples.dispatch)},
          {"combine", op_samples_to_json(samples.combine)},
          {"num_workers", samples.num_workers},
          {"num_channels", samples.num_channels},
          {"heap_bytes", samples.heap_bytes},
          {"num_sms", samples.num_sms},
          {"device", samples.device},
          {"copy_gbps", samples.copy_gbps},
          {"companion_alone_us", samples.companion_alone_us},
          {"companion_beside_us", samples.companion_beside_us}};
}

CaseSamples case_samples_from_json(const json& document) {
  return {.dispatch = op_samples_from_json(document.at("dispatch")),
          .combine = op_samples_from_json(document.at("combine")),
          .num_workers = document.at("num_workers").get<int>(),
          .num_channels = document.at("num_channels").get<int>(),
          .heap_bytes = document.at("heap_bytes").get<std::uint64_t>(),
          .num_sms = document.at("num_sms").get<int>(),
          .device = document.at("device").get<int>(),
          .copy_gbps = document.at("copy_gbps").get<std::vector<double>>(),
          .companion_alone_us = document.at("companion_alone_us").get<std::vector<double>>(),
          .companion_beside_us = document.at("companion_beside_us").get<std::vector<double>>()};
}

std::vector<json> gather_json(Bootstrap& bootstrap, const json& mine) {
  const std::string text = mine.dump();
  const auto num_ranks = static_cast<std::size_t>(bootstrap.num_ranks());
  std::vector<std::uint64_t> lengths(num_ranks);
  const std::uint64_t length = text.size();
  bootstrap.all_gather(std::as_bytes(std::span(&length, 1)),
                       std::as_writable_bytes(std::span(lengths)));

  const auto width = static_cast<std::size_t>(*std::max_element(lengths.begin(), lengths.end()));
  const std::vector<std::byte> all = gather_bytes(bootstrap, text, width);
  std::vector<json> documents;
  for (std::size_t rank = 0; rank < num_ranks; ++rank) {
    const auto* begin = reinterpret_cast<const char*>(all.data() + rank * width);
    documents.push_back(json::parse(begin, begin + lengths[rank]));
  }
  return documents;
}

std::vector<OpResult> results_of(const CasePlan& plan, const std::vector<CaseSamples>& by_rank) {
  std::vector<OpSamples> dispatch;
  std::vector<OpSamples> combine;
  for (const CaseSamples& samples : by_rank) {
    dispatch.push_back(samples.dispatch);
    combine.push_back(samples.combine);
  }
  std::vector<OpResult> results{result_of("dispatch", plan, plan.dispatch, dispatch),
                                result_of("combine", plan, plan.combine, combine)};
  for (OpResult& result : results) {
    result.num_workers = by_rank.front().num_workers;
    result.num_channels = by_rank.front().num_channels;
    result.heap_bytes = by_rank.front().heap_bytes;
    const bool dispatches = &result == results.data();
    set_device_figures(result, dispatches ? plan.dispatch : plan.combine, by_rank);
  }
  return results;
}

}  // namespace switchyard::bench
