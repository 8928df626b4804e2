#include "csrc/runtime/config_agreement.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "csrc/bootstrap/gather.h"
#include "csrc/protocol/packet.h"
#include "csrc/runtime/validate.h"
#include "csrc/targets/cuda/warp_memory.h"
#include "switchyard/error.h"

namespace switchyard {

std::string Config::to_string() const {
  constexpr std::array<const char*, 3> kKinds = {"auto", "in-process", "shared memory"};
  return fmt::format(
      "heap_bytes = {}\nheap_kind = {}\nuse_huge_pages = {}\nnum_workers = {}\nnum_channels = {}\n"
      "max_in_flight = {}\nmax_experts = {}\nchunk_tokens = {}\nexpert_copies = {}\n"
      "timeout = {} ms\nspin_polls = {}\ntrace_events = {}\ntarget = {}\ndevice = {}\n"
      "num_sms = {}\ncache_hints = {}\ntrack_bytes = {}\nchunk_packets = {}\n",
      heap_bytes,
      static_cast<std::size_t>(heap_kind) < kKinds.size()
          ? kKinds[static_cast<std::size_t>(heap_kind)]
          : "unknown",
      use_huge_pages,
      num_workers,
      num_channels,
      max_in_flight,
      max_experts,
      chunk_tokens,
      expert_copies == ExpertCopies::kBySender ? "by sender" : "by receiver",
      timeout.count(),
      spin_polls,
      trace_events,
      target == Target::kHost ? "host" : "cuda",
      device,
      num_sms,
      cache_hints,
      track_bytes,
      chunk_packets);
}

namespace runtime {
namespace {

// Bounds on what callers may ask for, not tuned: each keeps a slip of the keyboard from taking a
// machine. That of channels is a public constant.
constexpr std::uint64_t kMinHeapBytes = 4096;
constexpr std::uint64_t kMaxHeapBytes = std::uint64_t{64} << 30U;
// Offsets of a combine travel in 32 bits of 16-byte units.
static_assert(kMaxHeapBytes / 16 <= std::uint64_t{1} << 32U);
constexpr int kMaxWorkers = 64;
static_assert(kMaxWorkers <= kMaxChannels, "each worker can have a channel of its own");
constexpr int kMaxInFlight = 16;
constexpr int kMaxExperts = 65'536;
constexpr int kMaxChunkTokens = 4096;
constexpr std::uint64_t kMinTrackBytes = 256;
constexpr std::uint64_t kMaxTrackBytes = std::uint64_t{1} << 30U;
constexpr int kMaxChunkPackets = 4096;
constexpr int kMaxSms = 256;
constexpr int kMaxSpinPolls = 1'000'000;
constexpr int kMaxTraceEvents = 1 << 22;
/// derived: an undisturbed rank spins for two futex round trips, what sleeping and being woken
/// would cost. A role polls in some 100 ns, a round trip takes some 10 us.
constexpr int kIdleMachineSpinPolls = 200;
static_assert(kIdleMachineSpinPolls * 100 == 2 * 10'000);

void check_range(const char* name, std::int64_t value, std::int64_t low, std::int64_t high) {
  if (value < low || value > high) {
    refuse(fmt::format("Config::{}", name),
           fmt::format("{}", value),
           fmt::format("{} to {}", low, high));
  }
}

void check_name(const char* name, int value, int last, const char* wanted) {
  if (value < 0 || value > last) {
    refuse(fmt::format("Config::{}", name), fmt::format("{}", value), wanted);
  }
}

/// The cores that a rank may run on; of all ranks, since they share the machine or divide it.
struct Cores {
  cpu_set_t allowed;
};

Cores own_cores() {
  Cores cores;
  CPU_ZERO(&cores.allowed);
  if (sched_getaffinity(0, sizeof(cores.allowed), &cores.allowed) != 0) {
    CPU_SET(0, &cores.allowed);
  }
  return cores;
}

/// Cores of one rank where each core is divided by the ranks that may use it.
double share_of_cores(const std::vector<Cores>& all, std::size_t rank) {
  double share = 0.0;
  for (std::size_t core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &all[rank].allowed)) {
      share += 1.0 /
               static_cast<double>(std::count_if(all.begin(), all.end(), [core](const Cores& each) {
                 return CPU_ISSET(core, &each.allowed);
               }));
    }
  }
  return share;
}

/// What every rank must have the same, in a form that can be gathered.
struct Agreed {
  std::array<std::int64_t, 10> values;
};
constexpr std::array<const char*, 10> kAgreedNames = {
    "heap_bytes",
    "heap_kind (0 auto, 1 in-process, 2 shared memory)",
    "use_huge_pages",
    "num_channels",
    "max_in_flight",
    "max_experts",
    "expert_copies (0 by sender, 1 by receiver)",
    "target (0 host, 1 cuda)",
    "num_sms",
    "track_bytes"};

Agreed agreed_fields(const Config& config) {
  return {{static_cast<std::int64_t>(config.heap_bytes),
           static_cast<std::int64_t>(config.heap_kind),
           config.use_huge_pages ? 1 : 0,
           config.num_channels,
           config.max_in_flight,
           config.max_experts,
           static_cast<std::int64_t>(config.expert_copies),
           static_cast<std::int64_t>(config.target),
           config.num_sms,
           static_cast<std::int64_t>(config.track_bytes)}};
}

void check_agreement(const Config& config, Bootstrap& rendezvous) {
  const Agreed mine = agreed_fields(config);
  const std::vector<Agreed> all = bootstrap::gather_values(rendezvous, mine);
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    for (std::size_t i = 0; i < kAgreedNames.size(); ++i) {
      if (all[rank].values[i] != mine.values[i]) {
        throw ConfigMismatch(
            static_cast<int>(rank),
            fmt::format(
                "Config::{}: rank {} has {}, this rank ({}) has {}; give every rank the same",
                kAgreedNames[i],
                rank,
                all[rank].values[i],
                rendezvous.rank(),
                mine.values[i]));
      }
    }
  }
}

}  // namespace

void check_config(const Config& config) {
  const std::uint64_t heap_bytes = config.heap_bytes;
  if (heap_bytes < kMinHeapBytes || heap_bytes > kMaxHeapBytes) {
    refuse("Config::heap_bytes",
           fmt::format("{}", heap_bytes),
           fmt::format("{} to {}", kMinHeapBytes, kMaxHeapBytes));
  }
  check_range("num_workers", config.num_workers, 0, kMaxWorkers);
  check_range("num_channels", config.num_channels, 0, kMaxChannels);
  check_range("max_in_flight", config.max_in_flight, 1, kMaxInFlight);
  check_range("max_experts", config.max_experts, 1, kMaxExperts);
  check_range("chunk_tokens", config.chunk_tokens, 1, kMaxChunkTokens);
  check_range("chunk_packets", config.chunk_packets, 1, kMaxChunkPackets);
  if (config.track_bytes < kMinTrackBytes || config.track_bytes > kMaxTrackBytes ||
      config.track_bytes % protocol::kPartAlignment != 0) {
    refuse("Config::track_bytes",
           fmt::format("{}", config.track_bytes),
           fmt::format("{} to {}, a multiple of {}",
                       kMinTrackBytes,
                       kMaxTrackBytes,
                       protocol::kPartAlignment));
  }
  check_range("spin_polls", config.spin_polls, -1, kMaxSpinPolls);
  check_range("trace_events", config.trace_events, 0, kMaxTraceEvents);
  check_range("timeout [ms]", config.timeout.count(), 1, std::int64_t{1} << 40U);
  check_range("num_sms", config.num_sms, 1, kMaxSms);
  check_name(
      "target", static_cast<int>(config.target), static_cast<int>(Target::kCuda), "kHost or kCuda");
  check_name("heap_kind",
             static_cast<int>(config.heap_kind),
             static_cast<int>(HeapKind::kSharedMemory),
             "kAuto, kInProcess or kSharedMemory");
  check_name("expert_copies",
             static_cast<int>(config.expert_copies),
             static_cast<int>(ExpertCopies::kByReceiver),
             "kBySender or kByReceiver");
}

Config agree_on_config(const Config& config, Bootstrap& rendezvous) {
  check_agreement(config, rendezvous);
  Config resolved = config;
  const std::vector<Cores> cores = bootstrap::gather_values(rendezvous, own_cores());
  const double share = share_of_cores(cores, static_cast<std::size_t>(rendezvous.rank()));
  if (resolved.num_workers == 0) {
    // A hair above, for shares like three thirds.
    resolved.num_workers = std::clamp(static_cast<int>(share + 1e-6), 1, kMaxWorkers);
  }
  const std::vector<int> workers = bootstrap::gather_values(rendezvous, resolved.num_workers);
  if (resolved.num_channels == 0) {
    // One for each who moves rows; a warp of a kernel exchanges counts.
    const int movers = resolved.target == Target::kCuda
                           ? resolved.num_sms * cuda::kWarpsPerBlock - 1
                           : *std::max_element(workers.begin(), workers.end());
    resolved.num_channels = std::min(movers, kMaxChannels);
  }
  if (resolved.spin_polls < 0) {
    const bool crowded = static_cast<double>(resolved.num_workers) > share + 1e-6;
    resolved.spin_polls = crowded ? 0 : kIdleMachineSpinPolls;
  }
  return resolved;
}

}  // namespace runtime
}  // namespace switchyard
