// Stands in for csrc/targets/cuda where this build has no device code.
#include "csrc/targets/device.h"
#include "switchyard/error.h"

namespace switchyard::targets {

std::unique_ptr<Device> make_cuda_device(const DeviceOptions&) {
  throw InvalidArgument(
      "Config::target: got cuda, wanted host: this build has no device code; build Switchyard with "
      "SWITCHYARD_CUDA=ON where there is a CUDA toolkit");
}

}  // namespace switchyard::targets
