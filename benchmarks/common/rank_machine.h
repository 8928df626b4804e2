// What one rank of a benchmark measures on: where its buffer runs, where its tensors lie, which
// clock its times are of, and what else its accelerator can be asked for. The host's is here;
// benchmarks/cuda has the one of a GPU, tests/emulated one of emulated devices.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "benchmarks/common/tensor_memory.h"
#include "switchyard/buffer.h"
#include "switchyard/group.h"

namespace switchyard::bench {

/// Work of the same accelerator that transfers run beside.
enum class CompanionKind : std::uint8_t {
  kNone,
  kCacheVictim,  ///< reads memory that fits into the last-level cache, over and over
  kGemm,         ///< a large matrix product
};

class Companion {
 public:
  Companion() = default;
  Companion(const Companion&) = delete;
  Companion& operator=(const Companion&) = delete;
  virtual ~Companion() = default;

  /// Enqueues one fixed amount of work; returns at once.
  virtual void start() = 0;
  /// Whether it is done.
  virtual bool done() = 0;
  /// Waits for it. Returns how long it took, by the accelerator's clock, in microseconds.
  virtual double take_us() = 0;
};

/// Work that was recorded once, to be launched again and again.
class RecordedWork {
 public:
  RecordedWork() = default;
  RecordedWork(const RecordedWork&) = delete;
  RecordedWork& operator=(const RecordedWork&) = delete;
  virtual ~RecordedWork() = default;

  /// Launches it so many times, one behind the other; returns when the last is done.
  virtual void run(int times) = 0;
};

/// Called by: the rank's thread. Errors: SystemError with the vendor's own text
class RankDevice {
 public:
  RankDevice() = default;
  RankDevice(const RankDevice&) = delete;
  RankDevice& operator=(const RankDevice&) = delete;
  virtual ~RankDevice() = default;

  /// Among the devices that ranks of this run use; ranks that share one give the same number.
  [[nodiscard]] virtual int index() const = 0;
  /// Copies more than any cache holds from one place of the device's memory to another, as fast as
  /// the device copies. Returns bytes read and bytes written together, in GB/s.
  virtual double measure_copy_gbps() = 0;
  /// Copies between places of the device's memory with all of the device; returns when it is done.
  virtual void copy(void* to, const void* from, std::uint64_t bytes) = 0;
  /// What `enqueue` puts on the stream that it is given (of the vendor's type) becomes a graph.
  virtual std::unique_ptr<RecordedWork> record(
      const std::function<void(void* stream)>& enqueue) = 0;
  /// Leaves `num_sms` SMs of the device free.
  /// Errors: SystemError with what is missing
  virtual std::unique_ptr<Companion> make_companion(CompanionKind kind, int num_sms) = 0;
};

class RankMachine {
 public:
  RankMachine() = default;
  RankMachine(const RankMachine&) = delete;
  RankMachine& operator=(const RankMachine&) = delete;
  virtual ~RankMachine() = default;

  /// Collective.
  virtual Buffer make_buffer(Group& group, const Config& config) = 0;
  /// Lifetime: what is made of it lives as long
  virtual std::unique_ptr<TensorMemory> make_memory() = 0;
  /// A clock that all ranks share. Units: ns
  virtual std::int64_t now_ns() = 0;
  /// Null where ranks run on the host.
  virtual RankDevice* device() = 0;
};

/// Ranks on the cores of this machine.
std::unique_ptr<RankMachine> make_host_machine();

}  // namespace switchyard::bench
