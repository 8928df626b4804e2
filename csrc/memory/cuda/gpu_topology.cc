#include "csrc/memory/cuda/gpu_topology.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include "switchyard/error.h"

namespace switchyard::memory {
namespace {

using Uuid = std::array<std::uint8_t, 16>;

bool has_attribute(const CudaDriver& driver, CUdevice device, CUdevice_attribute attribute) {
  int value = 0;
  check(driver,
        driver.device_get_attribute(&value, attribute, device),
        fmt::format("cannot ask GPU {} what it can do", device));
  return value != 0;
}

Uuid uuid_of(const CudaDriver& driver, CUdevice device) {
  CUuuid found{};
  check(driver,
        driver.device_get_uuid(&found, device),
        fmt::format("cannot ask GPU {} who it is", device));
  Uuid uuid;
  static_assert(sizeof(found.bytes) == sizeof(uuid));
  std::memcpy(uuid.data(), found.bytes, sizeof(uuid));
  return uuid;
}

int num_devices(const CudaDriver& driver) {
  int count = 0;
  check(driver, driver.device_get_count(&count), "cannot count the GPUs");
  return count;
}

constexpr int kNotVisible = -1;

/// The number that this process has for the GPU of another rank: its own for the same GPU, another
/// process's may differ.
int device_here(const CudaDriver& driver, const Uuid& uuid) {
  const int count = num_devices(driver);
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    CUdevice device = 0;
    check(driver, driver.device_get(&device, ordinal), fmt::format("cannot open GPU {}", ordinal));
    if (uuid_of(driver, device) == uuid) {
      return device;
    }
  }
  return kNotVisible;  // CUDA_VISIBLE_DEVICES or a container hides it; then mapping it will tell
}

/// Calls `body(peer, device here)` for each rank whose GPU is another than this rank's and visible.
template <class Body>
void for_each_other_gpu(const CudaDriver& driver,
                        const std::vector<GpuOfRank>& gpus,
                        int rank,
                        Body body) {
  const GpuOfRank& mine = gpus[static_cast<std::size_t>(rank)];
  for (std::size_t peer = 0; peer < gpus.size(); ++peer) {
    if (gpus[peer].uuid == mine.uuid) {
      continue;
    }
    const int device = device_here(driver, gpus[peer].uuid);
    if (device != kNotVisible) {
      body(static_cast<int>(peer), device);
    }
  }
}

}  // namespace

GpuOfRank examine_gpu(const CudaDriver& driver, int device) {
  const int count = num_devices(driver);
  if (device < 0 || device >= count) {
    throw InvalidArgument(
        count == 0 ? fmt::format("device: got {}, but this process sees no GPU", device)
                   : fmt::format("device: got {}, wanted 0 to {}: this process sees {} GPUs",
                                 device,
                                 count - 1,
                                 count));
  }
  if (!has_attribute(driver, device, CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED)) {
    throw SystemError(
        EOPNOTSUPP,
        fmt::format(
            "GPU {} has no virtual memory management (a virtual GPU without it?), and heaps "
            "must be mapped at chosen addresses, which cudaMalloc and CUDA IPC cannot",
            device));
  }
  GpuOfRank gpu{.uuid = uuid_of(driver, device), .device = device};
  const auto offer = [&](Sharing sharing, bool supported) {
    gpu.page_bytes[static_cast<std::size_t>(sharing)] =
        supported ? granularity_of(driver, device, sharing) : 0;
  };
  offer(Sharing::kNone, true);
  offer(Sharing::kDescriptor,
        has_attribute(
            driver, device, CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED));
  offer(Sharing::kFabric,
        has_attribute(driver, device, CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_FABRIC_SUPPORTED));
  return gpu;
}

void check_peer_access(const CudaDriver& driver, const std::vector<GpuOfRank>& gpus, int rank) {
  const auto mine = static_cast<CUdevice>(gpus[static_cast<std::size_t>(rank)].device);
  for_each_other_gpu(driver, gpus, rank, [&](int peer, CUdevice theirs) {
    int can_access = 0;
    check(driver,
          driver.device_can_access_peer(&can_access, mine, theirs),
          fmt::format("cannot ask whether GPU {} reaches GPU {}", mine, theirs));
    if (can_access == 0) {
      throw SystemError(
          EOPNOTSUPP,
          fmt::format(
              "GPU {} of rank {} cannot reach the memory of GPU {} of rank {} (no peer "
              "access), wanted GPUs joined by NVLink or PCIe within a node: nvidia-smi topo "
              "-p2p r shows which are; give these ranks others, or make them nodes of their "
              "own",
              mine,
              rank,
              theirs,
              peer));
    }
  });
}

std::uint64_t common_page_bytes(const std::vector<GpuOfRank>& gpus, Sharing sharing) {
  if (rank_without(gpus, sharing) >= 0) {
    return 0;
  }
  std::uint64_t largest = 0;
  for (const GpuOfRank& gpu : gpus) {
    largest = std::max(largest, gpu.pages_for(sharing));
  }
  return largest;
}

int rank_without(const std::vector<GpuOfRank>& gpus, Sharing sharing) {
  const auto found = std::find_if(
      gpus.begin(), gpus.end(), [&](const GpuOfRank& gpu) { return gpu.pages_for(sharing) == 0; });
  return found == gpus.end() ? -1 : static_cast<int>(found - gpus.begin());
}

std::string describe_gpus(const CudaDriver& driver, const std::vector<GpuOfRank>& gpus, int rank) {
  std::set<Uuid> different;
  for (const GpuOfRank& gpu : gpus) {
    different.insert(gpu.uuid);
  }
  if (different.size() == 1) {
    return "1 GPU";
  }
  // NVLink is what carries atomics between GPUs; PCIe does not.
  const auto mine = static_cast<CUdevice>(gpus[static_cast<std::size_t>(rank)].device);
  std::size_t num_seen = 0;
  std::size_t num_joined = 0;
  for_each_other_gpu(driver, gpus, rank, [&](int, CUdevice theirs) {
    int atomics = 0;
    check(driver,
          driver.device_get_p2p_attribute(
              &atomics, CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED, mine, theirs),
          fmt::format("cannot ask how GPU {} reaches GPU {}", mine, theirs));
    ++num_seen;
    num_joined += atomics != 0 ? 1 : 0;
  });
  const char* links = num_joined != num_seen ? ", some joined by PCIe alone"
                      : num_seen != 0        ? " joined by NVLink"
                                             : "";
  return fmt::format("{} GPUs{}", different.size(), links);
}

}  // namespace switchyard::memory
