// copy_row: every destination gets the row and nothing else is written, at any alignment, on every
// instruction set.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <random>
#include <vector>

#include "benchmarks/sim/guarded_buffer.h"
#include "csrc/targets/host/row_ops.h"
#include "switchyard/error.h"
#include "tests/support/simd_targets.h"

namespace switchyard::host {
namespace {

using protocol::CopyHint;
using sim::GuardedBuffer;

constexpr CopyHint kHints[] = {CopyHint::kStream, CopyHint::kKeep};
constexpr std::size_t kMisalignments[] = {0, 16, 32, 48};

/// The source ends where its allocation ends, so that a sanitizer sees reads past it.
class Source {
 public:
  Source(std::size_t bytes, std::size_t misalignment)
      : storage_(bytes + misalignment), bytes_(bytes) {
    std::mt19937 random(static_cast<unsigned>(bytes + misalignment));
    std::generate(
        storage_.begin(), storage_.end(), [&] { return static_cast<std::byte>(random()); });
  }
  [[nodiscard]] const std::byte* data() const { return storage_.data() + storage_.size() - bytes_; }

 private:
  std::vector<std::byte> storage_;
  std::size_t bytes_;
};

void expect_copied(const Source& src, std::size_t bytes, const std::vector<GuardedBuffer>& dsts) {
  for (std::size_t i = 0; i < dsts.size(); ++i) {
    EXPECT_TRUE(std::equal(dsts[i].row().begin(), dsts[i].row().end(), src.data()))
        << "destination " << i << " of " << dsts.size() << ", " << bytes << " bytes";
    EXPECT_TRUE(dsts[i].guards_intact()) << "written outside of destination " << i << " of "
                                         << dsts.size() << ", " << bytes << " bytes";
  }
}

void copy_and_check(const Source& src,
                    std::size_t bytes,
                    const std::vector<GuardedBuffer>& dsts,
                    CopyHint hint) {
  std::vector<std::byte*> pointers;
  for (const GuardedBuffer& dst : dsts) {
    pointers.push_back(dst.data());
  }
  copy_row(pointers.data(), static_cast<int>(pointers.size()), src.data(), bytes, hint);
  stream_fence();
  expect_copied(src, bytes, dsts);
}

TEST(CopyRow, CopiesEveryByteWhenSizesAndAlignmentsVary) {
  test::for_each_simd_target([] {
    for (const CopyHint hint : kHints) {
      for (const std::size_t src_misalignment : kMisalignments) {
        for (const std::size_t dst_misalignment : kMisalignments) {
          for (std::size_t bytes = 16; bytes <= 1024; bytes += 16) {
            std::vector<GuardedBuffer> dsts;
            dsts.emplace_back(bytes, dst_misalignment);
            copy_and_check(Source(bytes, src_misalignment), bytes, dsts, hint);
          }
        }
      }
    }
  });
}

TEST(CopyRow, FillsEveryDestinationWhenThereAreUpTo32) {
  test::for_each_simd_target([] {
    for (const CopyHint hint : kHints) {
      for (const std::size_t misalignment : kMisalignments) {
        for (int num_dsts = 1; num_dsts <= kMaxCopyDests; ++num_dsts) {
          for (const std::size_t bytes : {16U, 240U, 4112U, 14336U}) {
            std::vector<GuardedBuffer> dsts;
            for (int i = 0; i < num_dsts; ++i) {
              dsts.emplace_back(bytes, misalignment);
            }
            copy_and_check(Source(bytes, 0), bytes, dsts, hint);
          }
        }
      }
    }
  });
}

TEST(CopyRow, FillsEveryDestinationWhenTheirAlignmentsDiffer) {
  test::for_each_simd_target([] {
    for (const CopyHint hint : kHints) {
      for (const std::size_t num_dsts : {2U, 3U, 7U, 8U, 9U, 32U}) {
        for (const std::size_t bytes : {16U, 32U, 224U, 4096U, 5776U, 65536U}) {
          std::vector<GuardedBuffer> dsts;
          for (std::size_t i = 0; i < num_dsts; ++i) {
            dsts.emplace_back(bytes, kMisalignments[(i * 3 + 1) % 4]);
          }
          copy_and_check(Source(bytes, 16), bytes, dsts, hint);
        }
      }
    }
  });
}

TEST(CopyRow, WritesNothingWhenTheRowIsEmpty) {
  for (const CopyHint hint : kHints) {
    std::vector<GuardedBuffer> dsts;
    dsts.emplace_back(0U);
    copy_and_check(Source(16, 0), 0, dsts, hint);
  }
}

TEST(CopyRow, ThrowsWhenDestinationsAreTooManyOrMisaligned) {
  const Source src(64, 0);
  const GuardedBuffer dst(64, 8);
  std::vector<std::byte*> pointers(kMaxCopyDests + 1, dst.data() + 8);
  EXPECT_THROW(copy_row(pointers.data(), kMaxCopyDests + 1, src.data(), 64, CopyHint::kKeep),
               Error);
  pointers[1] = dst.data();
  EXPECT_THROW(copy_row(pointers.data(), 2, src.data(), 64, CopyHint::kKeep), Error);
  EXPECT_TRUE(dst.guards_intact());
}

TEST(RowOps, NamesTheInstructionSetWhenAsked) {
  EXPECT_STRNE(row_ops_isa(), "");
  EXPECT_STRNE(row_ops_isa(), "Unknown");
}

}  // namespace
}  // namespace switchyard::host
