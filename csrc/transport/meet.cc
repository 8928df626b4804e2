#include "csrc/transport/meet.h"

#include <fmt/format.h>

#include <future>
#include <thread>

#include "csrc/bootstrap/deadline.h"
#include "csrc/bootstrap/together.h"
#include "switchyard/error.h"

namespace switchyard::transport {

void meet_quietly(Bootstrap& bootstrap, Transport& transport, std::chrono::milliseconds timeout) {
  const bootstrap::Deadline deadline(timeout);
  while (!transport.is_quiet() && !deadline.passed()) {
    transport.poll();
    std::this_thread::yield();
  }
  const bool is_quiet = transport.is_quiet();
  auto meeting = std::async(std::launch::async, [&] {
    bootstrap::run_together(bootstrap, [&] {
      if (!is_quiet) {
        throw Error(ErrorCode::kTimeout,
                    fmt::format("what was posted has not been carried out within {} ms, over {}; "
                                "is every peer polling?",
                                timeout.count(),
                                transport.describe()));
      }
    });
  });
  // The bootstrap has its own deadline, so this ends.
  while (meeting.wait_for(std::chrono::microseconds(100)) != std::future_status::ready) {
    transport.poll();
  }
  meeting.get();
}

}  // namespace switchyard::transport
