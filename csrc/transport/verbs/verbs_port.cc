#include "csrc/transport/verbs/verbs_port.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "csrc/transport/gid_choice.h"
#include "switchyard/error.h"

namespace switchyard::transport {
namespace {

constexpr int kMaxGids = 256;

/// The devices of the machine while it lives.
class DeviceList {
 public:
  DeviceList() : devices_(ibv_get_device_list(&num_)) {}
  DeviceList(const DeviceList&) = delete;
  DeviceList& operator=(const DeviceList&) = delete;
  ~DeviceList() {
    if (devices_ != nullptr) {
      ibv_free_device_list(devices_);
    }
  }
  [[nodiscard]] ibv_device** begin() const { return devices_; }
  [[nodiscard]] ibv_device** end() const { return devices_ == nullptr ? nullptr : devices_ + num_; }

 private:
  int num_ = 0;
  ibv_device** devices_;
};

/// The port to use: that of `wanted`, or the first active one. 0: there is none.
std::uint8_t active_port(ibv_context* context, int wanted) {
  ibv_device_attr device{};
  if (ibv_query_device(context, &device) != 0) {
    return 0;
  }
  for (int port = 1; port <= device.phys_port_cnt; ++port) {
    ibv_port_attr attributes{};
    const auto number = static_cast<std::uint8_t>(port);
    if ((wanted == 0 || wanted == port) && ibv_query_port(context, number, &attributes) == 0 &&
        attributes.state == IBV_PORT_ACTIVE) {
      return number;
    }
  }
  return 0;
}

GidType type_of(const ibv_gid_entry& entry) {
  switch (entry.gid_type) {
    case IBV_GID_TYPE_ROCE_V1:
      return GidType::kRoceV1;
    case IBV_GID_TYPE_ROCE_V2:
      return GidType::kRoceV2;
    default:
      return GidType::kInfiniBand;
  }
}

std::vector<Gid> gids_of(ibv_context* context, std::uint8_t port) {
  std::vector<ibv_gid_entry> entries(kMaxGids);
  const ssize_t num = ibv_query_gid_table(context, entries.data(), entries.size(), 0);
  std::vector<Gid> gids;
  for (ssize_t idx = 0; idx < num; ++idx) {
    const ibv_gid_entry& entry = entries[static_cast<std::size_t>(idx)];
    if (entry.port_num == port) {
      Gid gid{.index = static_cast<int>(entry.gid_index), .type = type_of(entry)};
      std::copy(std::begin(entry.gid.raw), std::end(entry.gid.raw), gid.bytes.begin());
      gids.push_back(gid);
    }
  }
  return gids;
}

const char* name_of(GidType type) {
  switch (type) {
    case GidType::kRoceV1:
      return "RoCE v1";
    case GidType::kRoceV2:
      return "RoCE v2";
    case GidType::kInfiniBand:
      return "InfiniBand";
  }
  return "unknown";
}

ibv_mtu mtu_of(int bytes, ibv_mtu active) {
  for (const ibv_mtu mtu : {IBV_MTU_256, IBV_MTU_512, IBV_MTU_1024, IBV_MTU_2048, IBV_MTU_4096}) {
    if (bytes == 128 << mtu) {
      return std::min(mtu, active);
    }
  }
  if (bytes != 0) {
    throw InvalidArgument(fmt::format(
        "verbs mtu: got {}, wanted 256, 512, 1024, 2048, 4096, or 0 for the port's", bytes));
  }
  return active;
}

void check_limit(const char* what, int got, int most) {
  if (got < 0 || got > most) {
    throw InvalidArgument(fmt::format("verbs {}: got {}, wanted 0 to {}", what, got, most));
  }
}

}  // namespace

void throw_verbs(int error, const std::string& tried) {
  throw SystemError(error, fmt::format("verbs: {} failed: {}", tried, std::strerror(error)));
}

VerbsPort::VerbsPort(const VerbsOptions& options) {
  check_limit("service_level", options.service_level, 15);
  check_limit("traffic_class", options.traffic_class, 255);
  check_limit("port", options.port, 255);
  service_level_ = static_cast<std::uint8_t>(options.service_level);
  traffic_class_ = static_cast<std::uint8_t>(options.traffic_class);
  open(options);
  domain_.reset(ibv_alloc_pd(context_.get()));
  if (domain_ == nullptr) {
    throw_verbs(errno, "making a protection domain of " + description_);
  }
  if (const int error = ibv_query_port(context_.get(), port_, &attributes_); error != 0) {
    throw_verbs(error, "asking " + description_ + " for its attributes");
  }
  choose_address(options);
  address_.mtu = mtu_of(options.mtu, attributes_.active_mtu);
  // take_events() shall not wait for one.
  const int flags = ::fcntl(context_->async_fd, F_GETFL);
  if (::fcntl(context_->async_fd, F_SETFL, flags | O_NONBLOCK) != 0) {
    throw_verbs(errno, "preparing the events of " + description_);
  }
}

void VerbsPort::open(const VerbsOptions& options) {
  std::string seen;
  for (ibv_device* device : DeviceList()) {
    const std::string name = ibv_get_device_name(device);
    seen += seen.empty() ? name : ", " + name;
    if (!options.device.empty() && options.device != name) {
      continue;
    }
    VerbsContext context(ibv_open_device(device));
    port_ = context == nullptr ? 0 : active_port(context.get(), options.port);
    if (port_ != 0) {
      context_ = std::move(context);
      description_ = fmt::format("{} port {}", name, port_);
      return;
    }
  }
  throw InvalidArgument(
      fmt::format("verbs: no active port (wanted device '{}', port {}; this machine has: {}); see "
                  "`rdma link` for devices and their state",
                  options.device.empty() ? "any" : options.device,
                  options.port == 0 ? "any" : std::to_string(options.port),
                  seen.empty() ? "no RDMA device" : seen));
}

void VerbsPort::choose_address(const VerbsOptions& options) {
  std::vector<Gid> gids = gids_of(context_.get(), port_);
  if (options.gid_index >= 0) {
    std::erase_if(gids, [&](const Gid& gid) { return gid.index != options.gid_index; });
  }
  const auto gid = choose_gid(gids);
  if (!gid) {
    throw InvalidArgument(
        fmt::format("verbs gid_index: {} has no GID {}; `rdma link` and "
                    "/sys/class/infiniband/*/ports/*/gids show which there are",
                    description_,
                    options.gid_index < 0 ? "at all" : std::to_string(options.gid_index)));
  }
  gid_index_ = gid->index;
  std::copy(gid->bytes.begin(), gid->bytes.end(), address_.gid);
  address_.lid = attributes_.lid;
  // Within an InfiniBand subnet the LID is enough, unless a GID was asked for.
  address_.is_global =
      attributes_.link_layer == IBV_LINK_LAYER_ETHERNET || options.gid_index >= 0 ? 1 : 0;
  description_ += fmt::format(", {}, GID {}", name_of(gid->type), gid_index_);
}

ibv_ah_attr VerbsPort::route_to(const PortAddress& peer) const {
  ibv_ah_attr route{};
  route.port_num = port_;
  route.sl = service_level_;
  route.dlid = peer.lid;
  if (address_.is_global != 0) {
    route.is_global = 1;
    std::copy(std::begin(peer.gid), std::end(peer.gid), route.grh.dgid.raw);
    route.grh.sgid_index = static_cast<std::uint8_t>(gid_index_);
    route.grh.hop_limit = 64;
    route.grh.traffic_class = traffic_class_;
  }
  return route;
}

void VerbsPort::take_events(const std::function<void(const ibv_qp*, const std::string&)>& on_queue,
                            const std::function<void(const std::string&)>& on_port) {
  ibv_async_event event{};
  while (ibv_get_async_event(context_.get(), &event) == 0) {
    const std::string what =
        fmt::format("{}: {}", description_, ibv_event_type_str(event.event_type));
    switch (event.event_type) {
      case IBV_EVENT_QP_FATAL:
      case IBV_EVENT_QP_REQ_ERR:
      case IBV_EVENT_QP_ACCESS_ERR:
        on_queue(event.element.qp, what);
        break;
      case IBV_EVENT_PORT_ERR:
        if (event.element.port_num == port_) {
          on_port(what);
        }
        break;
      case IBV_EVENT_DEVICE_FATAL:
      case IBV_EVENT_CQ_ERR:
        on_port(what);
        break;
      default:
        break;  // news of the fabric that no connection here depends on
    }
    ibv_ack_async_event(&event);
  }
}

}  // namespace switchyard::transport
