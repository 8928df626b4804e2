#include <string>

#include "benchmarks/cli/report.h"

namespace switchyard::bench {
namespace {

using nlohmann::ordered_json;

ordered_json machine_json(const Machine& machine) {
  ordered_json json = {{"cpu", machine.cpu},
                       {"cores", machine.cores},
                       {"memory_bytes", machine.memory_bytes},
                       {"simd", machine.simd}};
  if (!machine.gpu.empty()) {
    json["gpu"] = machine.gpu;
    json["gpus"] = machine.gpus;
  }
  return json;
}

ordered_json config_json(const BenchOptions& options) {
  const Workload& workload = options.workload;
  ordered_json layouts = ordered_json::array();
  for (const Layout layout : options.layouts) {
    layouts.push_back(layout_name(layout));
  }
  return {
      {"preset", workload.preset},
      {"target", target_name(options.device.target)},
      {"ranks", workload.num_ranks},
      {"ranks_as", ranks_as_name(options)},
      {"tokens", options.tokens},
      {"hidden", workload.hidden},
      {"topk", workload.topk},
      {"experts", workload.num_experts},
      {"dtype", row_dtype_name(workload.dtype)},
      {"scales", scales_name(workload.carried_scales)},
      {"quantize", quantize_name(workload.quantize)},
      {"layouts", layouts},
      {"expert_alignment", workload.expert_alignment},
      {"zero_padding", workload.zero_padding},
      {"max_tokens", workload.max_tokens},
      {"expert_copies", options.expert_copies == ExpertCopies::kBySender ? "sender" : "receiver"},
      {"seed", workload.seed},
      {"bind_cores", options.bind_cores},
      {"workers", options.num_workers},
      {"channels", options.num_channels},
      {"heap_bytes", options.heap_bytes},
      {"iterations", options.iterations},
      {"warmup", options.warmup},
      {"timeout_ms", options.timeout.count()},
      {"trace_events", options.trace_events},
      {"cache_hints", options.device.cache_hints},
      {"graph", options.device.graph},
      {"staged", options.device.staged}};
}

}  // namespace

ordered_json result_json(const OpResult& result) {
  ordered_json speedup_vs = ordered_json::object();
  for (const RivalMedian& rival : result.rivals) {
    speedup_vs[rival.name] = result.speedup_vs(rival.name);
  }
  ordered_json json = {{"op", result.op},
                       {"layout", result.layout},
                       {"tokens", result.tokens},
                       {"iterations", result.num_iterations},
                       {"workers", result.num_workers},
                       {"channels", result.num_channels},
                       {"heap_bytes", result.heap_bytes},
                       {"median_us", result.time_us.median},
                       {"p10_us", result.time_us.p10},
                       {"p90_us", result.time_us.p90},
                       {"max_us", result.time_us.max},
                       {"payload_bytes", result.payload_bytes},
                       {"payload_gbps", result.payload_gbps},
                       {"wire_gbps", result.wire_gbps},
                       {"logical_gbps", result.logical_gbps},
                       {"roof_share", result.roof_share},
                       {"roof_gbps", result.roof_gbps},
                       {"peak_bytes", result.peak_bytes},
                       {"verified", result.verified},
                       {"rows_checked", result.rows_checked},
                       {"speedup_vs", speedup_vs}};
  if (result.num_sms != 0) {
    json["sms"] = result.num_sms;
    json["gbps_per_sm"] = result.gbps_per_sm;
    json["copy_gbps"] = result.copy_gbps;
  }
  if (result.companion_alone_us > 0.0) {
    json["companion_alone_us"] = result.companion_alone_us;
    json["companion_beside_us"] = result.companion_beside_us;
    json["companion_slowdown"] = result.companion_beside_us / result.companion_alone_us - 1.0;
  }
  if (!result.verified) {
    json["first_mismatch"] = result.first_mismatch;
  }
  for (const RivalMedian& rival : result.rivals) {
    json[rival.name + "_median_us"] = rival.median_us;
  }
  return json;
}

ordered_json to_json(const Report& report) {
  ordered_json results = ordered_json::array();
  for (const OpResult& result : report.results) {
    results.push_back(result_json(result));
  }
  return {{"commit", report.commit},
          {"version", report.version},
          {"hardware", machine_json(report.machine)},
          {"command", report.command},
          {"config", config_json(report.options)},
          {"routing", report.options.workload.routing},
          {"results", results}};
}

}  // namespace switchyard::bench
