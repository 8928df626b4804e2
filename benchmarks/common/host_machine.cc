#include <chrono>

#include "benchmarks/common/rank_machine.h"

namespace switchyard::bench {
namespace {

class HostMachine final : public RankMachine {
 public:
  Buffer make_buffer(Group& group, const Config& config) override { return {group, config}; }
  std::unique_ptr<TensorMemory> make_memory() override { return std::make_unique<TensorMemory>(); }
  std::int64_t now_ns() override {
    return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
  }
  RankDevice* device() override { return nullptr; }
};

}  // namespace

std::unique_ptr<RankMachine> make_host_machine() {
  return std::make_unique<HostMachine>();
}

}  // namespace switchyard::bench
