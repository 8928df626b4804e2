// The thread of a proxy: pinned where asked, spinning while there is work, asleep when there is
// none for long.
#pragma once

#include <atomic>
#include <chrono>
#include <thread>

#include "csrc/transport/proxy.h"

namespace switchyard::transport {

struct ProxyThreadOptions {
  /// The core it keeps to; -1: wherever the system puts it. Without one of its own its latency is
  /// the scheduler's.
  int cpu = -1;
  /// Rounds without news that it spins, and then that it yields, before it sleeps between rounds.
  /// Too few: a command finds it asleep; too many: it takes the core from those that compute.
  int spin_rounds = 2000;
  int yield_rounds = 200;
  /// How long it sleeps between rounds; also the longest that news waits for an idle proxy.
  std::chrono::microseconds idle_sleep{50};
};

class ProxyThread {
 public:
  /// Starts it. The proxy is stepped by this thread alone from now on.
  /// Errors: SystemError when there is no thread to be had, or no core of that number
  ProxyThread(Proxy& proxy, const ProxyThreadOptions& options);
  ProxyThread(const ProxyThread&) = delete;
  ProxyThread& operator=(const ProxyThread&) = delete;
  /// Ends it after its round: what is still queued stays so.
  ~ProxyThread();

 private:
  void run();

  Proxy& proxy_;
  ProxyThreadOptions options_;
  std::atomic<bool> must_stop_{false};
  std::thread thread_;
};

}  // namespace switchyard::transport
