#include "switchyard/dlpack.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "switchyard/error.h"

namespace switchyard::dlpack {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr Device kGpu3{.type = DeviceType::kCuda, .id = 3};

/// A tensor as a framework hands it out, with its own shape and strides.
struct Foreign {
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;
  std::vector<float> memory = std::vector<float>(64);

  [[nodiscard]] Tensor tensor() {
    return {.data = memory.data(),
            .device = kGpu3,
            .ndim = static_cast<std::int32_t>(shape.size()),
            .dtype = element_type(DType::kFp32),
            .shape = shape.data(),
            .strides = strides.empty() ? nullptr : strides.data(),
            .byte_offset = 0};
  }
};

template <class Call>
std::string refusal(Call call) {
  try {
    call();
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  return "no InvalidArgument";
}

struct Deleter {
  template <class Managed>
  void operator()(Managed* managed) const {
    managed->deleter(managed);
  }
};
using Lent = std::unique_ptr<ManagedTensorVersioned, Deleter>;

TEST(Dlpack, NamesElementTypesByTheNumbersOfTheStandard) {
  const auto is = [](DType dtype, int code, int bits) {
    const ElementType type = element_type(dtype);
    return type.code == code && type.bits == bits && type.lanes == 1;
  };
  EXPECT_TRUE(is(DType::kInt32, 0, 32));
  EXPECT_TRUE(is(DType::kInt64, 0, 64));
  EXPECT_TRUE(is(DType::kUint8, 1, 8));
  EXPECT_TRUE(is(DType::kFp16, 2, 16));
  EXPECT_TRUE(is(DType::kFp32, 2, 32));
  EXPECT_TRUE(is(DType::kBf16, 4, 16));
  EXPECT_TRUE(is(DType::kFp8E4m3, 10, 8));
  EXPECT_EQ(static_cast<int>(DeviceType::kCuda), 2);
  EXPECT_EQ(static_cast<int>(DeviceType::kCudaManaged), 13);
}

TEST(Dlpack, RefusesPackedScalesAndSaysHowTheyTravel) {
  EXPECT_THAT(refusal([] { (void)element_type(DType::kUe8m0x4); }),
              AllOf(HasSubstr("ue8m0x4"), HasSubstr("int32")));
}

TEST(Dlpack, BringsEveryElementTypeBackThroughExportAndImport) {
  std::vector<std::byte> memory(4096);
  for (const DType dtype : {DType::kBf16,
                            DType::kFp16,
                            DType::kFp32,
                            DType::kFp8E4m3,
                            DType::kInt32,
                            DType::kInt64,
                            DType::kUint8}) {
    const TensorView view(memory.data(), dtype, {3, 5});
    const Lent lent(export_tensor(view, kGpu3, nullptr));
    const Imported back = import_tensor(*lent, "x");
    EXPECT_EQ(back.view.dtype, dtype);
    EXPECT_EQ(back.view.data, memory.data());
    EXPECT_EQ(back.view.ndim, 2);
    EXPECT_EQ(back.view.shape, view.shape);
    EXPECT_EQ(back.view.strides, view.strides);
    EXPECT_EQ(back.device, kGpu3);
  }
}

TEST(Dlpack, KeepsStridesOfEveryDimensionWhenTheyAreNotRowMajor) {
  Foreign foreign{.shape = {2, 3, 1, 4}, .strides = {1, 2, 0, 6}};
  const Imported imported = import_tensor(foreign.tensor(), "x");
  EXPECT_THAT(imported.view.shape, ElementsAre(2, 3, 1, 4));
  EXPECT_THAT(imported.view.strides, ElementsAre(1, 2, 0, 6));
}

TEST(Dlpack, TakesMissingStridesForRowMajor) {
  Foreign foreign{.shape = {2, 3, 4}, .strides = {}};
  const Imported imported = import_tensor(foreign.tensor(), "x");
  EXPECT_THAT(imported.view.strides, ElementsAre(12, 4, 1, 0));
}

TEST(Dlpack, AddsTheByteOffsetToThePointer) {
  Foreign foreign{.shape = {4}, .strides = {1}};
  Tensor tensor = foreign.tensor();
  tensor.byte_offset = 8;
  EXPECT_EQ(import_tensor(tensor, "x").view.data, foreign.memory.data() + 2);
}

TEST(Dlpack, TakesATensorWithoutElementsWhateverItsPointer) {
  Foreign foreign{.shape = {0, 7168}, .strides = {}};
  Tensor tensor = foreign.tensor();
  tensor.data = nullptr;
  tensor.byte_offset = 64;
  const Imported imported = import_tensor(tensor, "x");
  EXPECT_EQ(imported.view.data, nullptr);
  EXPECT_EQ(imported.view.num_elems(), 0);
  EXPECT_TRUE(imported.view.given());
}

TEST(Dlpack, NamesTheArgumentWhatItGotAndWhatItWantedWhenItRefuses) {
  Foreign foreign{.shape = {2, 2}, .strides = {}};
  Tensor tensor = foreign.tensor();
  tensor.dtype = {.code = 2, .bits = 64, .lanes = 1};
  EXPECT_THAT(refusal([&] { import_tensor(tensor, "topk_weights"); }),
              AllOf(StartsWith("topk_weights: element type"), HasSubstr("64 bits")));
  tensor.dtype = {.code = 2, .bits = 32, .lanes = 4};
  EXPECT_THAT(refusal([&] { import_tensor(tensor, "x"); }), HasSubstr("4 lanes"));
  tensor = foreign.tensor();
  tensor.data = nullptr;
  EXPECT_THAT(refusal([&] { import_tensor(tensor, "x"); }), HasSubstr("memory of 4 elements"));
  tensor = foreign.tensor();
  foreign.shape[1] = -2;
  EXPECT_THAT(refusal([&] { import_tensor(tensor, "x"); }), HasSubstr("dimension 1: got -2"));
  foreign.shape[0] = foreign.shape[1] = std::int64_t{1} << 40;
  EXPECT_THAT(refusal([&] { import_tensor(tensor, "x"); }), HasSubstr("fewer than 2^63"));
  Foreign deep{.shape = {1, 1, 1, 1, 1}, .strides = {}};
  EXPECT_THAT(refusal([&] { import_tensor(deep.tensor(), "x"); }),
              HasSubstr("got 5, wanted 1 to 4"));
  Foreign scalar{.shape = {}, .strides = {}};
  EXPECT_THAT(refusal([&] { import_tensor(scalar.tensor(), "x"); }), HasSubstr("got 0"));
}

TEST(Dlpack, ReadsButNeverWritesWhatIsLentReadOnly) {
  const std::vector<float> memory(6);
  const Lent lent(
      export_tensor(ConstTensorView(memory.data(), DType::kFp32, {6}), Device{}, nullptr));
  EXPECT_EQ(lent->flags, kFlagReadOnly);
  EXPECT_EQ(import_const_tensor(*lent, "x").view.data, memory.data());
  EXPECT_THAT(refusal([&] { import_tensor(*lent, "out"); }),
              AllOf(StartsWith("out: "), HasSubstr("only be read")));
}

TEST(Dlpack, RefusesAnotherMajorVersionBeforeItLooksAtAnythingElse) {
  ManagedTensorVersioned managed;
  managed.version = {.major = 2, .minor = 0};
  EXPECT_THAT(refusal([&] { import_tensor(managed, "x"); }), HasSubstr("got 2.0, wanted 1.x"));
  EXPECT_THAT(refusal([&] { import_const_tensor(managed, "x"); }), HasSubstr("got 2.0"));
}

TEST(Dlpack, TakesAnyMinorVersion) {
  Foreign foreign{.shape = {4}, .strides = {1}};
  ManagedTensorVersioned managed;
  managed.tensor = foreign.tensor();
  for (const std::uint32_t minor : {0U, 1U, 9U}) {
    managed.version = {.major = 1, .minor = minor};
    EXPECT_EQ(import_tensor(managed, "x").view.data, foreign.memory.data());
  }
}

TEST(Dlpack, HoldsTheOwnerUntilTheBorrowerIsDone) {
  auto owner = std::make_shared<std::vector<float>>(6);
  const std::weak_ptr<std::vector<float>> watched = owner;
  const TensorView view(owner->data(), DType::kFp32, {2, 3});
  Lent lent(export_tensor(view, Device{}, owner));
  std::unique_ptr<ManagedTensor, Deleter> old(export_unversioned_tensor(view, Device{}, owner));
  owner.reset();
  lent.reset();
  EXPECT_FALSE(watched.expired());
  EXPECT_EQ(old->tensor.shape[1], 3);
  old.reset();
  EXPECT_TRUE(watched.expired());
}

TEST(Dlpack, RefusesToExportWhatABorrowerCouldNotUnderstand) {
  std::vector<std::byte> memory(64);
  const TensorView fp8(memory.data(), DType::kFp8E4m3, {64});
  EXPECT_THAT(refusal([&] { export_unversioned_tensor(fp8, Device{}, nullptr); }),
              AllOf(HasSubstr("fp8_e4m3"), HasSubstr("uint8")));
  EXPECT_THAT(refusal([&] { export_tensor(TensorView(), Device{}, nullptr); }),
              HasSubstr("got 0 dimensions"));
  const TensorView deep(memory.data(), DType::kUint8, {1, 1, 1, 1, 64});
  EXPECT_THAT(refusal([&] { export_tensor(deep, Device{}, nullptr); }), HasSubstr("got 5"));
  const TensorView scales(memory.data(), DType::kUe8m0x4, {16});
  EXPECT_THAT(refusal([&] { export_tensor(scales, Device{}, nullptr); }), HasSubstr("int32"));
}

}  // namespace
}  // namespace switchyard::dlpack
