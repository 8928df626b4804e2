#include "benchmarks/cli/start_line.h"

#include <fmt/format.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstring>
#include <ctime>
#include <new>
#include <thread>

#include "benchmarks/cli/machine.h"
#include "csrc/bootstrap/gather.h"
#include "switchyard/error.h"

namespace switchyard::bench {

struct alignas(std::atomic<std::int64_t>) SharedStartLines::State {
  std::atomic<std::uint32_t> generation{0};  // the futex word
  std::atomic<std::uint32_t> arrived{0};
  std::atomic<std::uint32_t> given_up{0};

  /// Behind this: what each rank brings to gather().
  std::atomic<std::int64_t>* values() {
    return reinterpret_cast<std::atomic<std::int64_t>*>(this + 1);
  }
};

static_assert(std::atomic<std::uint32_t>::is_always_lock_free, "shared between processes");

namespace {

using Clock = std::chrono::steady_clock;

/// Where every rank has a core, waking from a futex would make the ranks start tens of microseconds
/// apart.
constexpr std::chrono::microseconds kSpinTime{500};

// Without FUTEX_PRIVATE_FLAG, which std::atomic::wait sets: the waiters are other processes.
void futex_wait(std::atomic<std::uint32_t>& word,
                std::uint32_t seen,
                std::chrono::nanoseconds limit) {
  timespec timeout{};
  timeout.tv_sec = static_cast<std::time_t>(limit.count() / 1'000'000'000);
  timeout.tv_nsec = static_cast<long>(limit.count() % 1'000'000'000);
  (void)::syscall(SYS_futex, &word, FUTEX_WAIT, seen, &timeout, nullptr, 0);
}

void futex_wake_all(std::atomic<std::uint32_t>& word) {
  (void)::syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

class SharedStartLine final : public StartLine {
 public:
  SharedStartLine(SharedStartLines::State& state, int num_ranks, std::chrono::milliseconds limit)
      : state_(state),
        num_ranks_(static_cast<std::uint32_t>(num_ranks)),
        spins_(allowed_cores() >= num_ranks),
        limit_(limit) {}

  void wait() override {
    const std::uint32_t generation = state_.generation.load(std::memory_order_acquire);
    if (state_.arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == num_ranks_) {
      state_.arrived.store(0, std::memory_order_relaxed);
      // Pairs with the acquire in wait_past: whoever leaves sees `arrived` reset.
      state_.generation.store(generation + 1, std::memory_order_release);
      futex_wake_all(state_.generation);
      return;
    }
    wait_past(generation);
  }

  std::vector<std::int64_t> gather(int rank, std::int64_t mine) override {
    state_.values()[rank].store(mine, std::memory_order_relaxed);
    wait();
    std::vector<std::int64_t> all;
    for (std::uint32_t each = 0; each < num_ranks_; ++each) {
      all.push_back(state_.values()[each].load(std::memory_order_relaxed));
    }
    wait();  // all have read: values may be brought again
    return all;
  }

  void give_up() noexcept override {
    state_.given_up.store(1, std::memory_order_release);
    state_.generation.fetch_add(1, std::memory_order_release);
    futex_wake_all(state_.generation);
  }

 private:
  void wait_past(std::uint32_t generation) {
    const Clock::time_point deadline = Clock::now() + limit_;
    for (;;) {
      if (state_.given_up.load(std::memory_order_acquire) != 0) {
        throw Error(ErrorCode::kPeerLost,
                    "another rank of this run failed; its own message says why");
      }
      if (state_.generation.load(std::memory_order_acquire) != generation) {
        return;
      }
      const auto left = deadline - Clock::now();
      if (spins_ && limit_ - left < kSpinTime) {
        std::this_thread::yield();
        continue;
      }
      if (left <= Clock::duration::zero()) {
        throw Error(
            ErrorCode::kTimeout,
            fmt::format("only {} of {} ranks came to the start of the next operation within {} ms; "
                        "raise --timeout if this machine is busy",
                        state_.arrived.load(),
                        num_ranks_,
                        limit_.count()));
      }
      futex_wait(state_.generation, generation, left);
    }
  }

  SharedStartLines::State& state_;
  std::uint32_t num_ranks_;
  bool spins_;
  std::chrono::milliseconds limit_;
};

class BootstrapStartLine final : public StartLine {
 public:
  explicit BootstrapStartLine(Bootstrap& bootstrap) : bootstrap_(bootstrap) {}
  void wait() override { bootstrap_.barrier(); }
  std::vector<std::int64_t> gather(int /*rank*/, std::int64_t mine) override {
    return bootstrap::gather_values(bootstrap_, mine);
  }
  // The peers see this rank's connection close.
  void give_up() noexcept override {}

 private:
  Bootstrap& bootstrap_;
};

}  // namespace

SharedStartLines::SharedStartLines(int num_ranks) : num_ranks_(num_ranks) {
  void* memory =
      ::mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    const int error = errno;
    throw SystemError(error,
                      fmt::format("cannot map {} bytes shared by the ranks: {}; free some memory",
                                  bytes(),
                                  std::strerror(error)));
  }
  state_ = new (memory) State;
}

SharedStartLines::~SharedStartLines() {
  ::munmap(state_, bytes());
}

std::size_t SharedStartLines::bytes() const {
  return sizeof(State) + static_cast<std::size_t>(num_ranks_) * sizeof(std::int64_t);
}

std::unique_ptr<StartLine> SharedStartLines::make(std::chrono::milliseconds limit) const {
  return std::make_unique<SharedStartLine>(*state_, num_ranks_, limit);
}

std::unique_ptr<StartLine> make_bootstrap_start_line(Bootstrap& bootstrap) {
  return std::make_unique<BootstrapStartLine>(bootstrap);
}

}  // namespace switchyard::bench
