#include "csrc/transport/proxy_thread.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>

#include <cstring>
#include <system_error>

#include "switchyard/error.h"

namespace switchyard::transport {
namespace {

/// Returns errno, 0 on success.
int keep_to(std::thread& thread, int cpu) {
  if (cpu >= CPU_SETSIZE) {
    return EINVAL;
  }
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(static_cast<std::size_t>(cpu), &cpus);
  return ::pthread_setaffinity_np(thread.native_handle(), sizeof(cpus), &cpus);
}

}  // namespace

ProxyThread::ProxyThread(Proxy& proxy, const ProxyThreadOptions& options)
    : proxy_(proxy), options_(options) {
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    throw SystemError(error.code().value(),
                      fmt::format("cannot start the proxy's thread: {}", error.what()));
  }
  if (options_.cpu < 0) {
    return;
  }
  if (const int error = keep_to(thread_, options_.cpu); error != 0) {
    must_stop_.store(true, std::memory_order_relaxed);
    thread_.join();
    throw SystemError(error,
                      fmt::format("cannot keep the proxy's thread to core {}: {}; name one of the "
                                  "cores that this process may use",
                                  options_.cpu,
                                  std::strerror(error)));
  }
}

ProxyThread::~ProxyThread() {
  must_stop_.store(true, std::memory_order_relaxed);
  if (thread_.joinable()) {
    thread_.join();
  }
}

void ProxyThread::run() {
  int idle_rounds = 0;
  // Relaxed: the flag carries nothing else, and join() orders what follows.
  while (!must_stop_.load(std::memory_order_relaxed)) {
    if (proxy_.step()) {
      idle_rounds = 0;
      continue;
    }
    if (++idle_rounds < options_.spin_rounds) {
      continue;
    }
    if (idle_rounds < options_.spin_rounds + options_.yield_rounds) {
      std::this_thread::yield();
    } else {
      idle_rounds = options_.spin_rounds + options_.yield_rounds;  // never wraps
      std::this_thread::sleep_for(options_.idle_sleep);
    }
  }
}

}  // namespace switchyard::transport
