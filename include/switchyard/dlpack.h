// Views as DLPack tensors and back, so that frameworks lend memory and borrow ours without copies.
// The structs have DLPack 1.x's layout, field by field, and may be cast to and from those of its
// header; no framework and no dependency is needed. Nothing here reads or writes an element.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "switchyard/tensor.h"

namespace switchyard::dlpack {

/// The major number guards the layout; minor 1 knows fp8.
struct Version {
  std::uint32_t major = 1;
  std::uint32_t minor = 1;

  bool operator==(const Version&) const = default;
};

/// Kinds of memory by DLPack's numbers: those that Switchyard can be given. Others pass through as
/// numbers.
enum class DeviceType : std::int32_t {
  kCpu = 1,
  kCuda = 2,
  kCudaHost = 3,      ///< pinned memory of the host
  kCudaManaged = 13,  ///< moves between host and GPU
};

struct Device {
  DeviceType type = DeviceType::kCpu;
  std::int32_t id = 0;  ///< the GPU's number in this process; 0 for the host

  bool operator==(const Device&) const = default;
};

struct ElementType {
  std::uint8_t code = 0;  ///< DLPack's class of type: integer, floating point, ...
  std::uint8_t bits = 0;
  std::uint16_t lanes = 1;

  bool operator==(const ElementType&) const = default;
};

/// DLTensor. `shape` and `strides` belong to whoever made it.
struct Tensor {
  void* data = nullptr;
  Device device;
  std::int32_t ndim = 0;
  ElementType dtype;
  std::int64_t* shape = nullptr;    ///< [ndim]
  std::int64_t* strides = nullptr;  ///< [ndim] in elements; null: row-major without gaps
  std::uint64_t byte_offset = 0;    ///< from `data` to the first element
};

/// DLManagedTensor, for consumers older than 1.0. Whoever takes it calls deleter(self), once.
struct ManagedTensor {
  Tensor tensor;
  void* manager_context = nullptr;
  void (*deleter)(ManagedTensor* self) = nullptr;
};

inline constexpr std::uint64_t kFlagReadOnly = 1;
inline constexpr std::uint64_t kFlagIsCopy = 2;

/// DLManagedTensorVersioned. Whoever takes it calls deleter(self), once.
struct ManagedTensorVersioned {
  Version version;
  void* manager_context = nullptr;
  void (*deleter)(ManagedTensorVersioned* self) = nullptr;
  std::uint64_t flags = 0;
  Tensor tensor;
};

/// A DLPack tensor as a view.
struct Imported {
  TensorView view;
  Device device;
};
struct ImportedConst {
  ConstTensorView view;
  Device device;
};

/// The type of `dtype` in DLPack. Errors: InvalidArgument for kUe8m0x4, four numbers that DLPack
/// cannot name as one element; view them as int32
ElementType element_type(DType dtype);

/// Views the memory behind `tensor`.
/// Shapes:     1 to kMaxTensorDims dimensions of any strides
/// Lifetime:   that of the tensor's memory, which the caller keeps; shape and strides are copied
/// Errors:     InvalidArgument that begins with `name`, for an element type that Switchyard does
///             not carry, for a number of dimensions or an extent that no view has, for null data
///             of a tensor with elements
Imported import_tensor(const Tensor& tensor, const char* name);

/// The same for a managed one, which stays the caller's to delete. Errors: also InvalidArgument for
/// another major version, for a tensor that may only be read
Imported import_tensor(const ManagedTensorVersioned& managed, const char* name);

/// The same to read only, from a tensor with or without leave to write.
ImportedConst import_const_tensor(const ManagedTensorVersioned& managed, const char* name);

/// Lends the memory behind `view` to whoever calls the result's deleter in the end, on any thread.
/// Lifetime:   `owner` is held until then; give it what keeps the memory (a result, a HeapTensor)
/// Errors:     InvalidArgument for a view that is not given, has more than kMaxTensorDims
///             dimensions, or an element type without a name in DLPack
ManagedTensorVersioned* export_tensor(const TensorView& view,
                                      Device device,
                                      std::shared_ptr<const void> owner);

/// The same to read only, which the flags tell.
ManagedTensorVersioned* export_tensor(const ConstTensorView& view,
                                      Device device,
                                      std::shared_ptr<const void> owner);

/// The same for consumers older than 1.0. They know no fp8 and no memory that may only be read.
/// Errors: also InvalidArgument for fp8
ManagedTensor* export_unversioned_tensor(const TensorView& view,
                                         Device device,
                                         std::shared_ptr<const void> owner);

// The layout that every consumer has compiled in, for 64-bit addresses.
static_assert(sizeof(void*) == 8);
static_assert(sizeof(Version) == 8 && sizeof(Device) == 8 && sizeof(ElementType) == 4);
static_assert(offsetof(Tensor, data) == 0);
static_assert(offsetof(Tensor, device) == 8);
static_assert(offsetof(Tensor, ndim) == 16);
static_assert(offsetof(Tensor, dtype) == 20);
static_assert(offsetof(Tensor, shape) == 24);
static_assert(offsetof(Tensor, strides) == 32);
static_assert(offsetof(Tensor, byte_offset) == 40);
static_assert(sizeof(Tensor) == 48);
static_assert(offsetof(ManagedTensor, manager_context) == 48);
static_assert(offsetof(ManagedTensor, deleter) == 56);
static_assert(offsetof(ManagedTensorVersioned, manager_context) == 8);
static_assert(offsetof(ManagedTensorVersioned, deleter) == 16);
static_assert(offsetof(ManagedTensorVersioned, flags) == 24);
static_assert(offsetof(ManagedTensorVersioned, tensor) == 32);

}  // namespace switchyard::dlpack
