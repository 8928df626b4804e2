#include "csrc/transport/ucx/ucx_worker.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

#include "csrc/bootstrap/environment.h"
#include "switchyard/error.h"

namespace switchyard::transport {
namespace {

using Config = std::unique_ptr<ucp_config_t, decltype(&ucp_config_release)>;

void set_config(const Config& config, const char* name, const std::string& value) {
  check_ucx(ucp_config_modify(config.get(), name, value.c_str()),
            fmt::format("setting UCX_{} to '{}'", name, value));
}

/// Whether UCX has only transports that cannot tell whether a peer died. The names are those that
/// UCX_TLS takes; an endpoint that asks for more than these offer cannot be made.
bool is_shared_memory_only(std::string_view names) {
  constexpr std::array<std::string_view, 9> kSharedMemory = {
      "shm", "sm", "mm", "posix", "sysv", "xpmem", "cma", "knem", "self"};
  while (!names.empty()) {
    const std::size_t length = std::min(names.find(','), names.size());
    const std::string_view name = names.substr(0, length);
    if (std::find(kSharedMemory.begin(), kSharedMemory.end(), name) == kSharedMemory.end()) {
      return false;
    }
    names.remove_prefix(std::min(length + 1, names.size()));
    if (names.empty()) {
      return true;
    }
  }
  return false;
}

std::vector<std::byte> copy_bytes(const void* from, std::size_t bytes) {
  const auto* begin = static_cast<const std::byte*>(from);
  return {begin, begin + bytes};
}

}  // namespace

void check_ucx(ucs_status_t status, const std::string& tried) {
  if (status == UCS_OK) {
    return;
  }
  const int system_errno = status == UCS_ERR_NO_MEMORY ? ENOMEM : EIO;
  throw SystemError(system_errno,
                    fmt::format("UCX: {} failed: {}; UCX_LOG_LEVEL=info in the environment shows "
                                "what it tried",
                                tried,
                                ucs_status_string(status)));
}

UcxWorker::UcxWorker(const UcxOptions& options) {
  ucp_config_t* raw_config = nullptr;
  check_ucx(ucp_config_read(nullptr, nullptr, &raw_config), "reading its configuration");
  const Config config(raw_config, &ucp_config_release);
  const std::string names = options.transports.empty()
                                ? bootstrap::read_variable("UCX_TLS").value_or("")
                                : options.transports;
  if (!names.empty()) {
    set_config(config, "TLS", names);
  }
  reports_dead_peers_ = !is_shared_memory_only(names);
  set_config(config, "KEEPALIVE_INTERVAL", fmt::format("{}s", options.keepalive.count()));

  ucp_params_t params{};
  params.field_mask = UCP_PARAM_FIELD_FEATURES | UCP_PARAM_FIELD_MT_WORKERS_SHARED;
  params.features = UCP_FEATURE_RMA;
  params.mt_workers_shared = 0;
  ucp_context_h context = nullptr;
  check_ucx(ucp_init(&params, config.get(), &context),
            fmt::format("opening devices for '{}'", names.empty() ? "all" : names));
  description_ = fmt::format("ucx {} over {}{}",
                             ucp_get_version_string(),
                             names.empty() ? "what it found" : names,
                             reports_dead_peers_ ? "" : ", peers watched by their processes");
  context_.reset(context);

  ucp_worker_params_t worker_params{};
  worker_params.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE;
  // One thread at a time, not one for good: set-up may happen on another thread than the proxy's.
  worker_params.thread_mode = UCS_THREAD_MODE_SERIALIZED;
  ucp_worker_h worker = nullptr;
  check_ucx(ucp_worker_create(context, &worker_params, &worker), "making a worker");
  worker_.reset(worker);
}

std::vector<std::byte> UcxWorker::address() const {
  ucp_address_t* address = nullptr;
  std::size_t bytes = 0;
  check_ucx(ucp_worker_get_address(worker_.get(), &address, &bytes), "asking for the address");
  auto copy = copy_bytes(address, bytes);
  ucp_worker_release_address(worker_.get(), address);
  return copy;
}

UcxMemory::UcxMemory(ucp_context_h context, std::span<std::byte> memory) : context_(context) {
  ucp_mem_map_params_t params{};
  params.field_mask = UCP_MEM_MAP_PARAM_FIELD_ADDRESS | UCP_MEM_MAP_PARAM_FIELD_LENGTH;
  params.address = memory.data();
  params.length = memory.size();
  check_ucx(ucp_mem_map(context, &params, &handle_),
            fmt::format("registering {} bytes (is the limit of locked memory, ulimit -l, high "
                        "enough?)",
                        memory.size()));
}

UcxMemory::~UcxMemory() {
  if (handle_ != nullptr) {
    ucp_mem_unmap(context_, handle_);
  }
}

std::vector<std::byte> UcxMemory::packed_rkey() const {
  void* rkey = nullptr;
  std::size_t bytes = 0;
  check_ucx(ucp_rkey_pack(context_, handle_, &rkey, &bytes), "packing a region's key");
  auto copy = copy_bytes(rkey, bytes);
  ucp_rkey_buffer_release(rkey);
  return copy;
}

}  // namespace switchyard::transport
