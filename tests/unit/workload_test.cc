// What a workload accepts, what it says when it does not, and the shapes of the presets.
#include "benchmarks/common/workload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "switchyard/error.h"

namespace switchyard::bench {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string error_of(const Workload& workload) {
  try {
    workload.validate();
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  return "";
}

TEST(Workload, AcceptsEveryPreset) {
  for (const std::string_view name : preset_names()) {
    const Workload workload = find_preset(name);
    EXPECT_EQ(workload.preset, name);
    EXPECT_EQ(error_of(workload), "") << name;
  }
}

TEST(Workload, ListsThePresetsWhenTheNameIsUnknown) {
  try {
    find_preset("deepseek");
    FAIL() << "accepted";
  } catch (const InvalidArgument& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("\"deepseek\""), HasSubstr("deepseek-v3-train")));
  }
}

TEST(Workload, SaysWhatToDoWhenRanksDoNotDivideTheExperts) {
  Workload workload;
  workload.num_ranks = 3;
  workload.num_experts = 256;
  EXPECT_THAT(error_of(workload),
              AllOf(HasSubstr("got 256"), HasSubstr("3 ranks"), HasSubstr("use 258")));
}

TEST(Workload, RefusesRowsThatAreNoMultipleOfSixteenBytes) {
  Workload workload;
  workload.hidden = 7;
  EXPECT_THAT(error_of(workload), AllOf(HasSubstr("14 bytes"), HasSubstr("multiple of 16")));
}

TEST(Workload, RefusesToQuantiseWhatIsNotBf16) {
  Workload workload;
  workload.dtype = DType::kFp16;
  workload.quantize = Quantize::kFp8ScalesFp32;
  EXPECT_THAT(error_of(workload), AllOf(HasSubstr("got fp16"), HasSubstr("wanted bf16")));
}

TEST(Workload, RefusesFewerPlacesThanTokens) {
  Workload workload;
  workload.layout = Layout::kPadded;
  workload.tokens = 128;
  workload.max_tokens = 64;
  EXPECT_THAT(error_of(workload), AllOf(HasSubstr("got 64"), HasSubstr("128 tokens")));
}

TEST(Workload, RefusesAnEntryCountBeyondTheLargestTopk) {
  Workload workload;
  workload.topk = kMaxTopk + 1;
  EXPECT_THAT(error_of(workload), AllOf(HasSubstr("topk: got 33"), HasSubstr("1 to 32")));
}

TEST(Workload, KnowsWhatLandsWhenRowsAreQuantised) {
  Workload workload;
  workload.hidden = 2880;  // 22.5 blocks of 128
  workload.quantize = Quantize::kFp8ScalesUe8m0;
  EXPECT_EQ(workload.row_bytes(), 5760U);
  EXPECT_EQ(workload.landed_row_bytes(), 2880U);
  EXPECT_EQ(workload.landed_scale_bytes(), 24U);
  EXPECT_EQ(workload.combine_dtype(), DType::kBf16);
  workload.quantize = Quantize::kFp8ScalesFp32;
  EXPECT_EQ(workload.landed_scale_bytes(), 23U * 4U);
}

TEST(Workload, ReadsTheNamesThatItPrints) {
  for (const DType dtype : {DType::kBf16, DType::kFp16, DType::kFp32, DType::kFp8E4m3}) {
    EXPECT_EQ(parse_dtype(row_dtype_name(dtype)), dtype);
  }
  for (const Layout layout : {Layout::kRankMajor, Layout::kExpertMajor, Layout::kPadded}) {
    EXPECT_EQ(parse_layout(layout_name(layout)), layout);
  }
  EXPECT_THROW(parse_quantize("fp4"), InvalidArgument);
}

}  // namespace
}  // namespace switchyard::bench
