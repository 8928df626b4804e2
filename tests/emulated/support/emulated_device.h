// A device for Buffer whose kernels run on the emulated machine: a queue that a body of the machine
// works off while the host goes on. Several ranks share one machine, each with a device of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "csrc/targets/device.h"
#include "tests/emulated/device/world.h"
#include "tests/emulated/support/kernels.h"

namespace switchyard::emulated {

/// Gives the turn away once, and lets time pass: for hosts that wait.
/// Errors: EmulationError when something else has failed, or a run takes too long
void await_turn(World& machine);

struct DeviceOptions {
  KernelOptions kernels;
  int resident_sms = 132;
  std::string name;  ///< for reports: "rank 0"
};

/// Called by: a body of the machine that plays the host. Memory is poisoned when it is given and
/// when it is taken back.
class EmulatedDevice final : public targets::Device {
 public:
  EmulatedDevice(World& machine, DeviceOptions options)
      : machine_(machine), options_(std::move(options)) {}
  ~EmulatedDevice() override;

  /// Runs what is enqueued until the device is closed.
  /// Called by: a body of its own. Errors: EmulationError
  void run_queue();
  /// The host enqueues nothing more.
  void close() { closed_ = true; }

  /// What is enqueued between the two is recorded, not run; a graph runs whenever it is launched.
  using Graph = std::vector<std::function<void()>>;
  void begin_recording() { recording_.emplace(); }
  Graph end_recording();
  void launch_graph(const Graph& graph);
  /// Until all that has been enqueued is done.
  void drain() { wait(mark()); }

  [[nodiscard]] std::uint64_t now_ns() const { return machine_.now_ns(); }
  /// Lets the others go on until `ns` of virtual time have passed.
  void let_pass(std::uint64_t ns);
  [[nodiscard]] std::uint64_t kernels_launched() const { return num_launched_; }
  [[nodiscard]] std::uint64_t kernels_ended() const { return num_ended_; }

  std::unique_ptr<memory::SymmetricHeap> create_heap(Bootstrap& bootstrap,
                                                     const memory::HeapOptions& options) override;
  std::byte* allocate(std::uint64_t bytes) override;
  void release(std::byte* memory) noexcept override;
  std::byte* allocate_host(std::uint64_t bytes) override;
  void release_host(std::byte* memory) noexcept override;
  void write(std::byte* to, const void* from, std::uint64_t bytes) override;
  void read(void* to, const std::byte* from, std::uint64_t bytes) override;
  void wait_for(void* stream) override;
  void let_wait(void* stream) override;
  void wait_for_event(void* event) override;
  void set_event(void* event) override;
  [[nodiscard]] bool is_recording(void* stream) override;
  void pack_rows(const targets::RowBlock& rows, std::byte* to) override;
  void launch(const cuda::RouteArgs& args) override;
  void launch(const cuda::DispatchLaunch& launch) override;
  void launch(const cuda::CombineLaunch& launch) override;
  targets::Mark mark() override;
  [[nodiscard]] bool reached(const targets::Mark& mark) override;
  void wait(const targets::Mark& mark) override;
  [[nodiscard]] std::uint64_t identity() const override;
  [[nodiscard]] int resident_sms() const override { return options_.resident_sms; }
  [[nodiscard]] std::string describe() const override { return "an emulated GPU"; }

 private:
  void enqueue(std::function<void()> work);
  void enqueue_kernel(std::function<void()> kernel);
  void free(std::byte* memory) noexcept;
  /// Errors: EmulationError for what would break a capture
  void refuse_while_recording(const char* call) const;

  World& machine_;
  DeviceOptions options_;
  bool closed_ = false;
  std::deque<std::function<void()>> queue_;
  std::optional<Graph> recording_;
  std::uint64_t num_enqueued_ = 0;
  std::uint64_t num_done_ = 0;
  std::uint64_t num_launched_ = 0;
  std::uint64_t num_ended_ = 0;
  std::map<std::byte*, std::uint64_t> blocks_;  // bytes
};

}  // namespace switchyard::emulated
