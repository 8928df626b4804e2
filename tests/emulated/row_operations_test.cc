// The row operations of the warp on the CPU, bit for bit against those of the host target: copies,
// sums and quantised rows one after the other through the same shared memory, each warp its own.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "benchmarks/sim/guarded_buffer.h"
#include "benchmarks/sim/reference_math.h"
#include "csrc/targets/cuda/cuda_warp.h"
#include "csrc/targets/host/row_ops.h"
#include "tests/emulated/device/launch.h"
#include "tests/emulated/support/shared_memory.h"
#include "tests/support/seeds.h"

namespace switchyard::cuda {
namespace {

using protocol::CopyHint;
using sim::GuardedBuffer;
using Buffers = std::vector<std::unique_ptr<GuardedBuffer>>;

std::vector<std::byte*> places(const Buffers& buffers) {
  std::vector<std::byte*> pointers;
  for (const auto& each : buffers) {
    pointers.push_back(each->data());
  }
  return pointers;
}

void expect_bytes(const GuardedBuffer& got, const GuardedBuffer& wanted, const std::string& what) {
  ASSERT_TRUE(got.guards_intact()) << what << ": written outside";
  const auto differs = std::mismatch(wanted.row().begin(), wanted.row().end(), got.row().begin());
  ASSERT_TRUE(differs.first == wanted.row().end())
      << what << ": differs at byte " << differs.first - wanted.row().begin() << " of "
      << wanted.row().size() << ": got " << static_cast<int>(*differs.second) << ", wanted "
      << static_cast<int>(*differs.first);
}

/// One operation with its memory, and what it must give.
class RowJob {
 public:
  RowJob() = default;
  RowJob(const RowJob&) = delete;
  RowJob& operator=(const RowJob&) = delete;
  virtual ~RowJob() = default;
  virtual void run(CudaWarp<WithHints>& warp) const = 0;
  virtual void run(CudaWarp<WithoutHints>& warp) const = 0;
  virtual void check() const = 0;
};

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed) {}

  unsigned below(unsigned count) { return static_cast<unsigned>(random_() % count); }
  /// Around the sizes of stages, or anything.
  unsigned row_bytes() {
    const unsigned stages[] = {16, 512, 2048, 4096, 8192, 12'288};
    const unsigned around = stages[below(6)] + 16 * below(3);
    return below(2) == 0 ? std::max(around - 16, 16U) : 16 * (1 + below(900));
  }
  std::unique_ptr<GuardedBuffer> buffer(std::size_t bytes) {
    return std::make_unique<GuardedBuffer>(bytes, 16 * below(4));
  }
  /// Numbers of many sizes, and one in 16 any bit pattern: subnormal, infinite, NaN.
  std::unique_ptr<GuardedBuffer> row(DType dtype, std::size_t bytes) {
    auto made = buffer(bytes);
    const bool wild = below(2) == 0;
    std::normal_distribution<float> normal(0.0F, 2.0F);
    const std::size_t size = dtype_bytes(dtype);
    for (std::size_t i = 0; i < bytes / size; ++i) {
      if (wild && below(16) == 0) {
        const auto bits = static_cast<std::uint32_t>(random_());
        std::memcpy(made->data() + i * size, &bits, size);
      } else {
        sim::store_element(dtype, made->data(), i, normal(random_));
      }
    }
    return made;
  }
  float weight() { return std::normal_distribution<float>()(random_); }

 private:
  std::mt19937_64 random_;
};

template <class Job>
class RunsOn : public RowJob {
 public:
  void run(CudaWarp<WithHints>& warp) const override { self().work(warp); }
  void run(CudaWarp<WithoutHints>& warp) const override { self().work(warp); }

 private:
  const Job& self() const { return static_cast<const Job&>(*this); }
};

class CopyJob final : public RunsOn<CopyJob> {
 public:
  explicit CopyJob(Dice& dice) {
    const unsigned bytes = dice.row_bytes();
    source_ = dice.row(DType::kBf16, bytes);
    for (unsigned i = 0; i < 1 + dice.below(dice.below(4) == 0 ? 32 : 4); ++i) {
      to_.push_back(dice.buffer(bytes));
    }
  }
  template <class Warp>
  void work(Warp& warp) const {
    const std::vector<std::byte*> to = places(to_);
    warp.copy_row(to.data(),
                  static_cast<int>(to.size()),
                  source_->data(),
                  source_->row().size(),
                  CopyHint::kStream);
  }
  void check() const override {
    for (const auto& each : to_) {
      expect_bytes(*each, *source_, "copy");
    }
  }

 private:
  std::unique_ptr<GuardedBuffer> source_;
  Buffers to_;
};

class SumJob final : public RunsOn<SumJob> {
 public:
  explicit SumJob(Dice& dice) {
    const DType dtypes[] = {DType::kBf16, DType::kFp16, DType::kFp32};
    sum_.dtype = dtypes[dice.below(3)];
    const unsigned bytes = dice.row_bytes();
    sum_.num_elems = bytes / static_cast<unsigned>(dtype_bytes(sum_.dtype));
    sum_.weighted = dice.below(2) == 0;
    sum_.by_node = dice.below(2) == 0;
    sum_.num_terms = static_cast<int>(dice.below(dice.below(4) == 0 ? 33 : 9));
    sum_.num_biases = static_cast<int>(dice.below(3));
    for (int i = 0; i < sum_.num_biases; ++i) {
      rows_.push_back(dice.row(sum_.dtype, bytes));
      sum_.biases[i] = rows_.back()->data();
    }
    for (int i = 0; i < sum_.num_terms; ++i) {
      rows_.push_back(dice.row(sum_.dtype, bytes));
      const bool last = i + 1 == sum_.num_terms;
      const bool closes_group = last || dice.below(2) == 0;
      const bool closes_node = last || (closes_group && dice.below(2) == 0);
      terms_.push_back({rows_.back()->data(), dice.weight(), closes_group, closes_node});
    }
    sum_.terms = terms_.data();
    got_ = dice.buffer(bytes);
    wanted_ = dice.buffer(bytes);
    sum_.dst = wanted_->data();
    host::reduce_rows(sum_, CopyHint::kKeep);
    sum_.dst = got_->data();
  }
  template <class Warp>
  void work(Warp& warp) const {
    // As roles do: every lane has a description of its own.
    protocol::Term terms[protocol::kMaxTerms];
    std::copy(terms_.begin(), terms_.end(), terms);
    protocol::Reduction sum = sum_;
    sum.terms = terms;
    warp.reduce_rows(sum, CopyHint::kStream, nullptr);
  }
  void check() const override {
    expect_bytes(*got_,
                 *wanted_,
                 std::string("sum of ") + std::to_string(sum_.num_terms) + " rows of " +
                     dtype_name(sum_.dtype) + (sum_.by_node ? " by node" : ""));
  }

 private:
  protocol::Reduction sum_;
  std::vector<protocol::Term> terms_;
  Buffers rows_;
  std::unique_ptr<GuardedBuffer> got_;
  std::unique_ptr<GuardedBuffer> wanted_;
};

class QuantizeJob final : public RunsOn<QuantizeJob> {
 public:
  explicit QuantizeJob(Dice& dice) {
    const unsigned elems = dice.row_bytes();  // to a multiple of 16 bytes
    const bool packed = dice.below(2) == 0;
    const unsigned blocks = (elems + kScaleBlockElems - 1) / kScaleBlockElems;
    const std::size_t scale_bytes = packed ? (blocks + 3) / 4 * 4 : blocks * sizeof(float);
    source_ = dice.row(DType::kBf16, elems * std::size_t{2});
    row_.src = source_->data();
    row_.num_elems = elems;
    row_.format = packed ? protocol::ScaleFormat::kUe8m0 : protocol::ScaleFormat::kFp32;
    wanted_ = dice.buffer(elems);
    wanted_scales_ = dice.buffer(scale_bytes);
    for (unsigned i = 0; i < 1 + dice.below(4); ++i) {
      to_.push_back(dice.buffer(elems));
      scales_to_.push_back(dice.buffer(scale_bytes));
    }
    row_.dst = wanted_->data();
    row_.scales = wanted_scales_->data();
    host::quantize_row(row_);
    row_.dst = nullptr;
    row_.scales = nullptr;
  }
  template <class Warp>
  void work(Warp& warp) const {
    const std::vector<std::byte*> to = places(to_);
    const std::vector<std::byte*> scales_to = places(scales_to_);
    warp.quantize_row(
        row_, to.data(), scales_to.data(), static_cast<int>(to.size()), CopyHint::kStream);
  }
  void check() const override {
    for (std::size_t i = 0; i < to_.size(); ++i) {
      expect_bytes(*to_[i], *wanted_, "quantised row");
      expect_bytes(*scales_to_[i], *wanted_scales_, "scales");
    }
  }

 private:
  protocol::Quantization row_;
  std::unique_ptr<GuardedBuffer> source_;
  std::unique_ptr<GuardedBuffer> wanted_;
  std::unique_ptr<GuardedBuffer> wanted_scales_;
  Buffers to_;
  Buffers scales_to_;
};

class ZeroJob final : public RunsOn<ZeroJob> {
 public:
  explicit ZeroJob(Dice& dice)
      : to_(dice.below(2) == 0
                ? dice.buffer(dice.row_bytes())
                : std::make_unique<GuardedBuffer>(4 * dice.below(200), 4 * dice.below(4))) {}
  template <class Warp>
  void work(Warp& warp) const {
    warp.zero_row(to_->data(), to_->row().size());
  }
  void check() const override {
    GuardedBuffer zeroes(to_->row().size());
    std::memset(zeroes.data(), 0, to_->row().size());
    expect_bytes(*to_, zeroes, "zeroes");
  }

 private:
  std::unique_ptr<GuardedBuffer> to_;
};

std::unique_ptr<RowJob> draw_job(Dice& dice, unsigned kinds) {
  unsigned kind = dice.below(4);
  while ((kinds >> kind & 1U) == 0) {
    kind = dice.below(4);
  }
  switch (kind) {
    case 0:
      return std::make_unique<CopyJob>(dice);
    case 1:
      return std::make_unique<SumJob>(dice);
    case 2:
      return std::make_unique<QuantizeJob>(dice);
    default:
      return std::make_unique<ZeroJob>(dice);
  }
}

using Jobs = std::vector<std::unique_ptr<RowJob>>;

/// Plays one warp's jobs; now and then the rows must be complete in between.
template <class Hints>
void play(const std::vector<Jobs>& jobs, std::uint64_t* words) {
  const auto own = static_cast<std::size_t>(threadIdx.x) / kLanes;
  CudaWarp<Hints> warp(reinterpret_cast<WarpMemory*>(shared_memory()) + own, nullptr, 0);
  for (std::size_t i = 0; i < jobs[own].size(); ++i) {
    jobs[own][i]->run(warp);
    if (i % 3 == 2) {
      warp.store_release(words + own, i);
      __syncwarp();  // or rows that follow would look to the emulator as if they came before
    }
  }
  warp.complete_rows();
}

void run_jobs(std::uint64_t seed, unsigned kinds) {
  SCOPED_TRACE("--seed=" + std::to_string(seed));
  Dice dice(seed);
  std::vector<Jobs> jobs(1 + dice.below(3));
  for (Jobs& each : jobs) {
    for (unsigned i = 0; i < 1 + dice.below(8); ++i) {
      each.push_back(draw_job(dice, kinds));
    }
  }
  std::uint64_t words[3] = {};
  emulated::World world(seed);
  const auto threads = static_cast<std::uint32_t>(jobs.size()) * kLanes;
  const bool hints = dice.below(2) == 0;
  ASSERT_NO_THROW(world.run_all({[&] {
    emulated::launch(world, {1, threads, jobs.size() * sizeof(WarpMemory), "row operations"}, [&] {
      hints ? play<WithHints>(jobs, words) : play<WithoutHints>(jobs, words);
    });
  }}));
  for (const Jobs& each : jobs) {
    for (const auto& job : each) {
      job->check();
    }
  }
}

TEST(RowOperations, CopyRowsToManyPlaces) {
  test::for_each_seed(50, [](std::uint64_t seed) { run_jobs(seed, 1U); });
}

TEST(RowOperations, SumAsTheHostDoes) {
  test::for_each_seed(50, [](std::uint64_t seed) { run_jobs(seed, 2U); });
}

TEST(RowOperations, QuantizeAsTheHostDoes) {
  test::for_each_seed(50, [](std::uint64_t seed) { run_jobs(seed, 4U); });
}

TEST(RowOperations, FollowEachOtherThroughTheSameSharedMemory) {
  test::for_each_seed(100, [](std::uint64_t seed) { run_jobs(seed, 15U); });
}

}  // namespace
}  // namespace switchyard::cuda
