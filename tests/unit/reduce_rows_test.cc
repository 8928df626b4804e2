// reduce_rows against the reference, bit for bit, on every instruction set.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "benchmarks/sim/guarded_buffer.h"
#include "benchmarks/sim/reference_math.h"
#include "csrc/targets/host/row_ops.h"
#include "switchyard/error.h"
#include "tests/support/simd_targets.h"

namespace switchyard::host {
namespace {

using protocol::CopyHint;
using protocol::Reduction;
using protocol::Term;
using sim::GuardedBuffer;

constexpr DType kDTypes[] = {DType::kBf16, DType::kFp16, DType::kFp32};
constexpr CopyHint kHints[] = {CopyHint::kStream, CopyHint::kKeep};

/// One reduction with the memory it needs. Rows end where their allocation ends, so that a
/// sanitizer sees reads past.
class Problem {
 public:
  Problem(DType dtype, std::size_t num_elems, std::size_t dst_misalignment = 0)
      : bytes_(num_elems * dtype_bytes(dtype)), dst_(bytes_, dst_misalignment) {
    reduction_.dtype = dtype;
    reduction_.num_elems = static_cast<std::uint32_t>(num_elems);
    reduction_.dst = dst_.data();
  }

  std::byte* add_term(float weight = 1.0F, bool closes_group = true, bool closes_node = true) {
    terms_.push_back({new_row(), weight, closes_group, closes_node});
    reduction_.terms = terms_.data();
    reduction_.num_terms = static_cast<std::int32_t>(terms_.size());
    return rows_.back().get();
  }
  std::byte* add_bias() {
    reduction_.biases[reduction_.num_biases++] = new_row();
    return rows_.back().get();
  }
  void set_weighted(bool weighted) { reduction_.weighted = weighted; }
  void set_by_node(bool by_node) { reduction_.by_node = by_node; }

  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] const Reduction& reduction() const { return reduction_; }
  [[nodiscard]] const std::vector<std::unique_ptr<std::byte[]>>& rows() const { return rows_; }

  /// The reference's result, computed once.
  [[nodiscard]] std::vector<std::byte> expected() const {
    std::vector<std::byte> result(bytes_);
    Reduction reduction = reduction_;
    reduction.dst = result.data();
    sim::reference_reduce(reduction);
    return result;
  }

  void run_and_expect(const std::vector<std::byte>& expected) const {
    for (const CopyHint hint : kHints) {
      std::memset(reduction_.dst, 0x5a, bytes_);
      reduce_rows(reduction_, hint);
      stream_fence();
      expect_equal(expected);
      EXPECT_TRUE(dst_.guards_intact());
    }
  }

  void check_on_every_target() const {
    const std::vector<std::byte> wanted = expected();
    test::for_each_simd_target([&] { run_and_expect(wanted); });
  }

  void expect_equal(const std::vector<std::byte>& expected) const {
    const auto mismatch = std::mismatch(expected.begin(), expected.end(), dst_.row().begin());
    if (mismatch.first == expected.end()) {
      return;
    }
    const auto byte = static_cast<std::size_t>(mismatch.first - expected.begin());
    const std::size_t index = byte / dtype_bytes(reduction_.dtype);
    ADD_FAILURE() << dtype_name(reduction_.dtype) << " element " << index << " of "
                  << reduction_.num_elems << " (" << reduction_.num_terms << " terms): got "
                  << sim::load_element(reduction_.dtype, reduction_.dst, index) << ", wanted "
                  << sim::load_element(reduction_.dtype, expected.data(), index);
  }

 private:
  const std::byte* new_row() {
    rows_.push_back(std::make_unique<std::byte[]>(bytes_));
    return rows_.back().get();
  }

  std::size_t bytes_;
  GuardedBuffer dst_;
  std::vector<std::unique_ptr<std::byte[]>> rows_;
  std::vector<Term> terms_;
  Reduction reduction_;
};

/// Values of moderate size and, now and then, any bit pattern at all: subnormals, infinities, NaN,
/// huge numbers.
void fill_random(const Problem& problem, std::byte* row, std::mt19937& random, bool wild) {
  const DType dtype = problem.reduction().dtype;
  std::normal_distribution<float> normal(0.0F, 2.0F);
  for (std::size_t i = 0; i < problem.reduction().num_elems; ++i) {
    if (wild && random() % 16 == 0) {
      const std::uint32_t bits = static_cast<std::uint32_t>(random());
      std::memcpy(row + i * dtype_bytes(dtype), &bits, dtype_bytes(dtype));
    } else {
      sim::store_element(dtype, row, i, normal(random));
    }
  }
}

void fill_rows(const Problem& problem, std::mt19937& random, bool wild) {
  for (const auto& row : problem.rows()) {
    fill_random(problem, row.get(), random, wild);
  }
}

void fill_with_all_codes(std::byte* row, std::uint32_t first, std::uint32_t num) {
  for (std::uint32_t i = 0; i < num; ++i) {
    const auto code = static_cast<std::uint16_t>(first + i);
    std::memcpy(row + i * sizeof(code), &code, sizeof(code));
  }
}

TEST(ReduceRows, GivesZeroWhenThereIsNothingToSum) {
  for (const DType dtype : kDTypes) {
    const Problem problem(dtype, 40);
    test::for_each_simd_target(
        [&] { problem.run_and_expect(std::vector<std::byte>(problem.bytes())); });
  }
}

TEST(ReduceRows, KeepsEveryValueWhenOneTermIsSummed) {
  for (const DType dtype : {DType::kBf16, DType::kFp16}) {
    Problem problem(dtype, 65536);
    fill_with_all_codes(problem.add_term(), 0, 65536);
    problem.check_on_every_target();
  }
}

TEST(ReduceRows, RoundsEveryValueAlikeWhenAGroupOfTwoIsSummed) {
  for (const DType dtype : {DType::kBf16, DType::kFp16}) {
    std::mt19937 random(1);
    Problem problem(dtype, 65536);
    std::byte* first = problem.add_term(1.0F, false);
    std::byte* second = problem.add_term();
    fill_with_all_codes(first, 0, 65536);
    for (int round = 0; round < 4; ++round) {
      fill_random(problem, second, random, true);
      problem.check_on_every_target();
    }
  }
}

TEST(ReduceRows, RoundsToEvenWhenAProductIsATie) {
  // Every code times small odd numbers makes exact ties; times powers of two it makes subnormals
  // and overflows.
  for (const DType dtype : {DType::kBf16, DType::kFp16}) {
    for (const float factor : {1.0F, 3.0F, 5.0F, 1.0F + 0x1p-22F, 3.0F - 0x1p-21F}) {
      for (const float unit : {1.0F, 0x1p-6F, 0x1p-11F, 0x1p-25F, 0x1p13F}) {
        Problem problem(dtype, 65536);
        problem.set_weighted(true);
        fill_with_all_codes(problem.add_term(factor * unit), 0, 65536);
        problem.check_on_every_target();
      }
    }
  }
}

TEST(ReduceRows, SumsInOrderWhenAnyNumberOfTerms) {
  for (const DType dtype : kDTypes) {
    std::mt19937 random(2);
    for (int num_terms = 0; num_terms <= protocol::kMaxTerms; ++num_terms) {
      for (int num_biases = 0; num_biases <= protocol::kMaxBiases; ++num_biases) {
        Problem problem(dtype, 120);
        for (int i = 0; i < num_biases; ++i) {
          problem.add_bias();
        }
        for (int i = 0; i < num_terms; ++i) {
          problem.add_term();
        }
        fill_rows(problem, random, num_terms % 2 == 0);
        problem.check_on_every_target();
      }
    }
  }
}

TEST(ReduceRows, RoundsEachGroupWhenTermsAreGroupedAndWeighted) {
  for (const DType dtype : kDTypes) {
    std::mt19937 random(3);
    std::uniform_real_distribution<float> weights(-1.0F, 1.0F);
    for (int trial = 0; trial < 120; ++trial) {
      Problem problem(dtype, 8 * (1 + random() % 40));
      problem.set_weighted(trial % 2 == 0);
      const int num_terms = static_cast<int>(random() % (protocol::kMaxTerms + 1));
      const int num_biases = static_cast<int>(random() % (protocol::kMaxBiases + 1));
      for (int i = 0; i < num_biases; ++i) {
        problem.add_bias();
      }
      for (int i = 0; i < num_terms; ++i) {
        problem.add_term(weights(random), random() % 3 == 0);
      }
      fill_rows(problem, random, trial % 3 == 0);
      problem.check_on_every_target();
    }
  }
}

TEST(ReduceRows, RoundsEachNodeWhenSummedByNode) {
  for (const DType dtype : kDTypes) {
    std::mt19937 random(6);
    std::uniform_real_distribution<float> weights(-1.0F, 1.0F);
    for (int trial = 0; trial < 120; ++trial) {
      Problem problem(dtype, 8 * (1 + random() % 40));
      problem.set_by_node(true);
      problem.set_weighted(trial % 2 == 0);
      const int num_terms = static_cast<int>(random() % (protocol::kMaxTerms + 1));
      const int num_biases = static_cast<int>(random() % (protocol::kMaxBiases + 1));
      for (int i = 0; i < num_biases; ++i) {
        problem.add_bias();
      }
      for (int i = 0; i < num_terms; ++i) {
        const bool closes_group = random() % 2 == 0;
        problem.add_term(weights(random), closes_group, closes_group && random() % 2 == 0);
      }
      fill_rows(problem, random, trial % 3 == 0);
      problem.check_on_every_target();
    }
  }
}

TEST(ReduceRows, LosesWhatTheSumOfItsNodeCannotHoldWhenSummedByNode) {
  // bf16 has every other number from 256 on: 256 + 1 rounds to 256 on its node, whatever
  // the other adds; in one sum the two ones make 258.
  for (const bool by_node : {false, true}) {
    Problem problem(DType::kBf16, 8);
    problem.set_by_node(by_node);
    std::byte* const rows[] = {
        problem.add_term(1.0F, true, false), problem.add_term(), problem.add_term()};
    std::vector<std::byte> expected(problem.bytes());
    for (std::size_t i = 0; i < 8; ++i) {
      sim::store_element(DType::kBf16, rows[0], i, 256.0F);
      sim::store_element(DType::kBf16, rows[1], i, 1.0F);
      sim::store_element(DType::kBf16, rows[2], i, 1.0F);
      sim::store_element(DType::kBf16, expected.data(), i, by_node ? 256.0F : 258.0F);
    }
    test::for_each_simd_target([&] { problem.run_and_expect(expected); });
  }
}

TEST(ReduceRows, RoundsProductsBeforeSumsWhenWeighted) {
  // (1 + 2^-12)^2 - (1 + 2^-11) is 2^-24 if fused and 0 if the product is rounded to fp32 first.
  Problem problem(DType::kFp32, 4);
  problem.set_weighted(true);
  std::byte* minus = problem.add_term(1.0F, false);
  std::byte* square = problem.add_term(1.0F + 0x1p-12F);
  for (std::size_t i = 0; i < 4; ++i) {
    sim::store_element(DType::kFp32, minus, i, -(1.0F + 0x1p-11F));
    sim::store_element(DType::kFp32, square, i, 1.0F + 0x1p-12F);
  }
  test::for_each_simd_target(
      [&] { problem.run_and_expect(std::vector<std::byte>(problem.bytes())); });
}

TEST(ReduceRows, StaysWithinTheRowWhenSizesAndAlignmentsVary) {
  for (const DType dtype : kDTypes) {
    std::mt19937 random(4);
    for (const std::size_t misalignment : {0U, 16U, 32U, 48U}) {
      for (const std::size_t bytes :
           {16U, 32U, 48U, 64U, 80U, 112U, 128U, 144U, 1008U, 5776U, 65536U}) {
        for (const bool grouped : {false, true}) {
          Problem problem(dtype, bytes / dtype_bytes(dtype), misalignment);
          problem.add_term(1.0F, !grouped);
          problem.add_term();
          problem.add_term();
          fill_rows(problem, random, false);
          problem.check_on_every_target();
        }
      }
    }
  }
}

TEST(ReduceRows, GivesTheSameSumWhenTheNextReductionIsKnown) {
  std::mt19937 random(5);
  Problem next(DType::kBf16, 8);  // shorter than what is fetched ahead, and of more rows
  Problem problem(DType::kBf16, 7168);
  for (int i = 0; i < protocol::kMaxTerms; ++i) {
    next.add_term();
  }
  problem.add_term();
  problem.add_term();
  fill_rows(problem, random, false);
  const std::vector<std::byte> expected = problem.expected();
  test::for_each_simd_target([&] {
    reduce_rows(problem.reduction(), CopyHint::kStream, &next.reduction());
    stream_fence();
    problem.expect_equal(expected);
  });
}

TEST(ReduceRows, ThrowsWhenThereAreTooManyTermsOrARowIsMisaligned) {
  Problem problem(DType::kBf16, 8);
  problem.add_term();
  Reduction reduction = problem.reduction();
  reduction.num_terms = protocol::kMaxTerms + 1;
  EXPECT_THROW(reduce_rows(reduction, CopyHint::kKeep), Error);
  reduction = problem.reduction();
  reduction.num_elems = 7;
  EXPECT_THROW(reduce_rows(reduction, CopyHint::kKeep), Error);
}

TEST(ReduceRows, KeepsNanWhenItsPayloadWouldCarryIntoTheExponent) {
  const std::pair<DType, std::uint16_t> kNans[] = {{DType::kBf16, 0x7f81},
                                                   {DType::kBf16, 0x7fff},
                                                   {DType::kBf16, 0xffff},
                                                   {DType::kFp16, 0x7c01},
                                                   {DType::kFp16, 0x7fff},
                                                   {DType::kFp16, 0xffff}};
  for (const auto& [dtype, nan] : kNans) {
    Problem problem(dtype, 8);
    std::byte* row = problem.add_term();
    std::vector<std::byte> expected(problem.bytes());
    for (std::size_t i = 0; i < 8; ++i) {
      std::memcpy(row + 2 * i, &nan, 2);
      const std::uint16_t quiet = 0x7fff;
      std::memcpy(expected.data() + 2 * i, &quiet, 2);
    }
    test::for_each_simd_target([&] { problem.run_and_expect(expected); });
  }
}

}  // namespace
}  // namespace switchyard::host
