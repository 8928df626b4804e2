// What the row operations share at run time: the fence of streaming stores and the name of the
// instruction set in use.
#include "csrc/targets/host/row_ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "csrc/targets/host/row_ops.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hwy/cache_control.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace switchyard::host::HWY_NAMESPACE {

const char* isa_name() {
  return hwy::TargetName(HWY_TARGET);
}

}  // namespace switchyard::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace switchyard::host {

HWY_EXPORT(isa_name);

const char* row_ops_isa() {
  return HWY_DYNAMIC_DISPATCH(isa_name)();
}

void stream_fence() {
  hwy::FlushStream();
}

}  // namespace switchyard::host
#endif  // HWY_ONCE
