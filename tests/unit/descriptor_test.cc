// What ranks must agree on: its hash, its way through a slot, the words for a disagreement.
#include "csrc/runtime/descriptor.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <vector>

namespace switchyard::runtime {
namespace {

Descriptor filled() {
  Descriptor descriptor;
  for (std::size_t i = 0; i < kNumFields; ++i) {
    descriptor.set(static_cast<Field>(i), static_cast<std::int64_t>(i) + 1);
  }
  return descriptor;
}

/// Two heaps that hold a control block and nothing else.
class DescriptorSlots : public ::testing::Test {
 protected:
  [[nodiscard]] protocol::OperationArgs args(int rank, std::uint32_t epoch) {
    protocol::OperationArgs op;
    op.control = {2, 4, 1, 1};
    op.epoch = epoch;
    words_.resize(2 * op.control.block_bytes() / sizeof(protocol::Word));
    op.peers = {reinterpret_cast<std::byte*>(words_.data()), op.control.block_bytes(), rank, 2};
    return op;
  }

 private:
  std::vector<protocol::Word> words_;
};

TEST(Descriptor, SignatureChangesWhenAnyFieldChanges) {
  const std::uint32_t signature = filled().signature();
  EXPECT_EQ(filled().signature(), signature);
  for (std::size_t i = 0; i < kNumFields; ++i) {
    Descriptor other = filled();
    other.set(static_cast<Field>(i), 0);
    EXPECT_NE(other.signature(), signature) << "field " << i;
  }
}

TEST(Descriptor, SignatureChangesWhenTwoFieldsAreExchanged) {
  Descriptor other = filled();
  other.set(Field::kHidden, filled().get(Field::kTopk));
  other.set(Field::kTopk, filled().get(Field::kHidden));
  EXPECT_NE(other.signature(), filled().signature());
}

TEST(Descriptor, NamesEveryFieldThatDiffersWithBothValues) {
  Descriptor mine = filled();
  Descriptor theirs = filled();
  mine.set(Field::kHidden, 7168);
  theirs.set(Field::kHidden, 4096);
  theirs.set(Field::kTopk, 9);
  const std::string text = mine.differences(theirs, 3);
  EXPECT_NE(text.find("hidden: rank 3 has 4096, this rank 7168"), std::string::npos) << text;
  EXPECT_NE(text.find("rank 3 has 9, this rank"), std::string::npos) << text;
  EXPECT_EQ(filled().differences(filled(), 3), "");
}

TEST_F(DescriptorSlots, ReadReturnsWhatThePeerPublished) {
  filled().publish(args(1, 6));
  const auto read = Descriptor::read(args(0, 6), 1);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->differences(filled(), 1), "");
}

TEST_F(DescriptorSlots, ReadReturnsNothingWhenThePeerIsInAnotherEpoch) {
  EXPECT_FALSE(Descriptor::read(args(0, 6), 1));
  filled().publish(args(1, 6));
  EXPECT_FALSE(Descriptor::read(args(0, 2), 1)) << "the same slot, an earlier epoch";
  EXPECT_FALSE(Descriptor::read(args(0, 10), 1)) << "the same slot, a later epoch";
  EXPECT_FALSE(Descriptor::read(args(0, 6), 0)) << "another rank";
}

}  // namespace
}  // namespace switchyard::runtime
