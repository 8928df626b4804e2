#include "switchyard/dlpack.h"

#include <fmt/format.h>

#include <array>
#include <optional>
#include <utility>

#include "switchyard/error.h"

namespace switchyard::dlpack {
namespace {

/// DLPack's classes of element types that we meet.
enum Code : std::uint8_t {
  kInt = 0,
  kUint = 1,
  kFloat = 2,
  kBfloat = 4,
  kFloat8E4m3fn = 10,  ///< since 1.1
};

struct Named {
  DType dtype;
  ElementType type;
};

constexpr std::array<Named, 7> kTypes = {{
    {DType::kBf16, {kBfloat, 16, 1}},
    {DType::kFp16, {kFloat, 16, 1}},
    {DType::kFp32, {kFloat, 32, 1}},
    {DType::kFp8E4m3, {kFloat8E4m3fn, 8, 1}},
    {DType::kInt32, {kInt, 32, 1}},
    {DType::kInt64, {kInt, 64, 1}},
    {DType::kUint8, {kUint, 8, 1}},
}};

std::optional<DType> dtype_of(ElementType type) {
  for (const Named& named : kTypes) {
    if (named.type == type) {
      return named.dtype;
    }
  }
  return std::nullopt;
}

/// Elements of the tensor, after checking each extent and that their number can be counted.
std::int64_t checked_elems(const Tensor& tensor, const char* name) {
  std::int64_t num_elems = 1;
  for (int dim = 0; dim < tensor.ndim; ++dim) {
    const std::int64_t extent = tensor.shape[dim];
    if (extent < 0 || __builtin_mul_overflow(num_elems, extent, &num_elems)) {
      throw InvalidArgument(fmt::format(
          "{}: extent of dimension {}: got {}, wanted 0 or more, and fewer than 2^63 elements",
          name,
          dim,
          extent));
    }
  }
  if (tensor.data == nullptr && num_elems != 0) {
    throw InvalidArgument(
        fmt::format("{}: data: got null, wanted the memory of {} elements", name, num_elems));
  }
  return num_elems;
}

TensorView view_of(const Tensor& tensor, const char* name) {
  const auto dtype = dtype_of(tensor.dtype);
  if (!dtype) {
    throw InvalidArgument(
        fmt::format("{}: element type: got DLPack code {} with {} bits and {} lanes, wanted bf16, "
                    "fp16, fp32, fp8_e4m3 (code {}), int32, int64 or uint8",
                    name,
                    tensor.dtype.code,
                    tensor.dtype.bits,
                    tensor.dtype.lanes,
                    static_cast<int>(kFloat8E4m3fn)));
  }
  if (tensor.ndim < 1 || tensor.ndim > kMaxTensorDims || tensor.shape == nullptr) {
    throw InvalidArgument(fmt::format("{}: dimensions: got {}{}, wanted 1 to {} and their extents",
                                      name,
                                      tensor.ndim,
                                      tensor.shape == nullptr ? " without a shape" : "",
                                      kMaxTensorDims));
  }
  const bool has_elems = checked_elems(tensor, name) != 0;
  TensorView view;
  view.dtype = *dtype;
  view.ndim = tensor.ndim;
  std::int64_t gapless = 1;
  for (int dim = tensor.ndim - 1; dim >= 0; --dim) {
    const auto i = static_cast<std::size_t>(dim);
    view.shape[i] = tensor.shape[i];
    view.strides[i] = tensor.strides == nullptr ? gapless : tensor.strides[i];
    if (has_elems) {  // else strides mean nothing, and the product of the extents left may be huge
      gapless *= tensor.shape[i];
    }
  }
  if (tensor.data != nullptr) {
    view.data = static_cast<std::byte*>(tensor.data) + tensor.byte_offset;
  }
  return view;
}

void check_version(const ManagedTensorVersioned& managed, const char* name) {
  if (managed.version.major != Version{}.major) {
    throw InvalidArgument(fmt::format(
        "{}: DLPack version: got {}.{}, wanted {}.x; ask the framework for an older one "
        "(max_version)",
        name,
        managed.version.major,
        managed.version.minor,
        Version{}.major));
  }
}

/// A managed tensor together with all that it points to.
template <class Managed>
struct Lent {
  Managed managed;
  std::array<std::int64_t, kMaxTensorDims> shape{};
  std::array<std::int64_t, kMaxTensorDims> strides{};
  std::shared_ptr<const void> owner;
};

template <class Managed>
void give_back(Managed* self) {
  delete static_cast<Lent<Managed>*>(self->manager_context);
}

template <class Managed>
Managed* lend(const ConstTensorView& view, Device device, std::shared_ptr<const void>&& owner) {
  if (view.ndim < 1 || view.ndim > kMaxTensorDims) {
    throw InvalidArgument(
        fmt::format("a view to export as DLPack: got {} dimensions, wanted 1 to {}",
                    view.ndim,
                    kMaxTensorDims));
  }
  const ElementType type = element_type(view.dtype);
  auto lent = std::make_unique<Lent<Managed>>();
  lent->shape = view.shape;
  lent->strides = view.strides;
  lent->owner = std::move(owner);
  lent->managed.manager_context = lent.get();
  lent->managed.deleter = &give_back<Managed>;
  lent->managed.tensor = {.data = const_cast<void*>(view.data),
                          .device = device,
                          .ndim = view.ndim,
                          .dtype = type,
                          .shape = lent->shape.data(),
                          .strides = lent->strides.data(),
                          .byte_offset = 0};
  return &lent.release()->managed;
}

}  // namespace

ElementType element_type(DType dtype) {
  for (const Named& named : kTypes) {
    if (named.dtype == dtype) {
      return named.type;
    }
  }
  throw InvalidArgument(fmt::format(
      "element type: got {}, wanted one that DLPack can name; view the same memory as int32",
      dtype_name(dtype)));
}

Imported import_tensor(const Tensor& tensor, const char* name) {
  return {.view = view_of(tensor, name), .device = tensor.device};
}

Imported import_tensor(const ManagedTensorVersioned& managed, const char* name) {
  check_version(managed, name);
  if ((managed.flags & kFlagReadOnly) != 0) {
    throw InvalidArgument(fmt::format(
        "{}: got a tensor that may only be read, wanted one to write to; copy it first", name));
  }
  return import_tensor(managed.tensor, name);
}

ImportedConst import_const_tensor(const ManagedTensorVersioned& managed, const char* name) {
  check_version(managed, name);
  const Imported imported = import_tensor(managed.tensor, name);
  return {.view = imported.view, .device = imported.device};
}

ManagedTensorVersioned* export_tensor(const TensorView& view,
                                      Device device,
                                      std::shared_ptr<const void> owner) {
  return lend<ManagedTensorVersioned>(view, device, std::move(owner));
}

ManagedTensorVersioned* export_tensor(const ConstTensorView& view,
                                      Device device,
                                      std::shared_ptr<const void> owner) {
  auto* managed = lend<ManagedTensorVersioned>(view, device, std::move(owner));
  managed->flags |= kFlagReadOnly;
  return managed;
}

ManagedTensor* export_unversioned_tensor(const TensorView& view,
                                         Device device,
                                         std::shared_ptr<const void> owner) {
  if (view.dtype == DType::kFp8E4m3) {
    throw InvalidArgument(
        "element type: got fp8_e4m3, wanted one that DLPack knew before version 1.1; ask for a "
        "versioned tensor, or view the same memory as uint8");
  }
  return lend<ManagedTensor>(view, device, std::move(owner));
}

}  // namespace switchyard::dlpack
