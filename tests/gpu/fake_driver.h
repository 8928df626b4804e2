// The driver's functions on the host's memory, so that everything around them is tested on machines
// without a GPU: memory is a memfd, mapping is mmap. Stricter than the real one, and it counts what
// is held.
#pragma once

#include <cstdint>
#include <memory>

#include "csrc/memory/cuda/cuda_driver.h"

namespace switchyard::test {

/// The machine that this process sees. Set before the driver is used; forked processes inherit it.
struct FakeMachine {
  int num_devices = 1;
  int first_gpu = 0;  ///< the GPU that is device 0 here; others follow
  std::uint64_t page_bytes = std::uint64_t{2} << 20U;
  std::uint64_t gpu_bytes = std::uint64_t{1} << 30U;  ///< largest single allocation
  bool has_vmm = true;
  bool has_descriptors = true;
  bool has_fabric = false;
  bool fabric_is_permitted = true;  ///< what the attribute promises may still be refused
  bool has_peer_access = true;
  bool has_nvlink = true;
};

void set_fake_machine(const FakeMachine& machine);

/// What the process holds and must give back.
struct FakeHoldings {
  int contexts = 0;
  int current_contexts = 0;  ///< of the calling thread
  int streams = 0;
  int reservations = 0;
  int mappings = 0;
  int handles = 0;

  bool operator==(const FakeHoldings&) const = default;
};

FakeHoldings fake_holdings();

std::shared_ptr<const memory::CudaDriver> make_fake_driver();

}  // namespace switchyard::test
