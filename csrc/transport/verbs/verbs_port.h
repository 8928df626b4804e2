// One port of one RDMA device, opened: what a connection needs to know of it, and what happens to
// it.
#pragma once

#include <infiniband/verbs.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "csrc/transport/verbs/verbs.h"

namespace switchyard::transport {

/// Throws SystemError with errno's text and what was tried.
[[noreturn]] void throw_verbs(int error, const std::string& tried);

/// What `destroy` takes apart when the owner goes.
template <auto kDestroy>
struct VerbsDeleter {
  template <class T>
  void operator()(T* object) const {
    kDestroy(object);
  }
};
using VerbsContext = std::unique_ptr<ibv_context, VerbsDeleter<&ibv_close_device>>;
using VerbsDomain = std::unique_ptr<ibv_pd, VerbsDeleter<&ibv_dealloc_pd>>;
using VerbsMemory = std::unique_ptr<ibv_mr, VerbsDeleter<&ibv_dereg_mr>>;
using VerbsCompletions = std::unique_ptr<ibv_cq, VerbsDeleter<&ibv_destroy_cq>>;
using VerbsQueuePair = std::unique_ptr<ibv_qp, VerbsDeleter<&ibv_destroy_qp>>;

/// How a peer reaches the port. Every field has a fixed width and travels.
struct PortAddress {
  std::uint8_t gid[16] = {};
  std::uint32_t mtu = 0;  ///< an ibv_mtu
  std::uint16_t lid = 0;
  std::uint16_t is_global = 0;  ///< whether packets carry the GID: always over RoCE
};

class VerbsPort {
 public:
  /// Errors: InvalidArgument when there is no such device, port or GID; SystemError
  explicit VerbsPort(const VerbsOptions& options);

  [[nodiscard]] ibv_context* context() const { return context_.get(); }
  [[nodiscard]] ibv_pd* domain() const { return domain_.get(); }
  [[nodiscard]] const PortAddress& address() const { return address_; }
  /// The attributes that take a queue pair of this port to `peer`.
  [[nodiscard]] ibv_ah_attr route_to(const PortAddress& peer) const;
  /// Largest message; a larger put goes in pieces.
  [[nodiscard]] std::uint64_t max_message_bytes() const { return attributes_.max_msg_sz; }
  /// "mlx5_0 port 1, RoCE v2, GID 3".
  [[nodiscard]] const std::string& description() const { return description_; }

  /// Takes the events that have come. `on_queue` gets the queue pair that one is about, `on_port`
  /// is called when the port or the device is gone; each with what happened.
  void take_events(const std::function<void(const ibv_qp*, const std::string&)>& on_queue,
                   const std::function<void(const std::string&)>& on_port);

 private:
  void open(const VerbsOptions& options);
  void choose_address(const VerbsOptions& options);

  VerbsContext context_;
  VerbsDomain domain_;
  ibv_port_attr attributes_{};
  std::uint8_t port_ = 0;
  int gid_index_ = 0;
  std::uint8_t service_level_ = 0;
  std::uint8_t traffic_class_ = 0;
  PortAddress address_;
  std::string description_;
};

}  // namespace switchyard::transport
