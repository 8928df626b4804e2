// The tables of a dispatch that lie in a device's memory, and how the host gets to see them.
#pragma once

#include <memory>

#include "csrc/runtime/handle_state.h"
#include "csrc/targets/cuda/workspace.h"
#include "csrc/targets/device.h"

namespace switchyard::runtime {

/// Owns the workspace of one route.
class DeviceTables {
 public:
  DeviceTables(std::shared_ptr<targets::Device> device, const cuda::WorkspaceShape& shape);

  [[nodiscard]] const cuda::WorkspaceShape& shape() const { return shape_; }
  [[nodiscard]] const cuda::Workspace& workspace() const { return workspace_; }

  /// Copies counts, places and route to the host. Waits for the device.
  void fetch(HandleState& handle) const;

 private:
  std::shared_ptr<targets::Device> device_;
  cuda::WorkspaceShape shape_;
  targets::DeviceBlock memory_;
  cuda::Workspace workspace_;
};

}  // namespace switchyard::runtime
