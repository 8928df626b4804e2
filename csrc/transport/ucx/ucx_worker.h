// UCX's objects of one end, owned: the context (devices), the worker (this end's progress), its
// address, and memory that is known to the devices.
#pragma once

#include <ucp/api/ucp.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "csrc/transport/ucx/ucx.h"

namespace switchyard::transport {

/// Throws SystemError, with what was tried and UCX's own words, unless `status` is UCS_OK.
void check_ucx(ucs_status_t status, const std::string& tried);

class UcxWorker {
 public:
  explicit UcxWorker(const UcxOptions& options);
  UcxWorker(const UcxWorker&) = delete;
  UcxWorker& operator=(const UcxWorker&) = delete;

  [[nodiscard]] ucp_worker_h get() const { return worker_.get(); }
  [[nodiscard]] ucp_context_h context() const { return context_.get(); }
  /// What a peer needs to reach this worker.
  [[nodiscard]] std::vector<std::byte> address() const;
  /// Whether endpoints learn of a dead peer from UCX. Shared memory cannot: its peers are watched.
  [[nodiscard]] bool reports_dead_peers() const { return reports_dead_peers_; }
  /// For people: version and transports.
  [[nodiscard]] const std::string& description() const { return description_; }
  void progress() { ucp_worker_progress(worker_.get()); }

 private:
  struct DestroyContext {
    void operator()(ucp_context_h context) const { ucp_cleanup(context); }
  };
  struct DestroyWorker {
    void operator()(ucp_worker_h worker) const { ucp_worker_destroy(worker); }
  };
  bool reports_dead_peers_ = true;
  std::string description_;
  std::unique_ptr<std::remove_pointer_t<ucp_context_h>, DestroyContext> context_;
  std::unique_ptr<std::remove_pointer_t<ucp_worker_h>, DestroyWorker> worker_;
};

/// Memory that the devices may read and write.
class UcxMemory {
 public:
  UcxMemory(ucp_context_h context, std::span<std::byte> memory);
  UcxMemory(UcxMemory&& other) noexcept
      : context_(other.context_), handle_(std::exchange(other.handle_, nullptr)) {}
  UcxMemory& operator=(UcxMemory&& other) noexcept {
    std::swap(context_, other.context_);
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~UcxMemory();

  [[nodiscard]] ucp_mem_h get() const { return handle_; }
  /// What a peer needs to write into it.
  [[nodiscard]] std::vector<std::byte> packed_rkey() const;

 private:
  ucp_context_h context_;
  ucp_mem_h handle_ = nullptr;
};

}  // namespace switchyard::transport
