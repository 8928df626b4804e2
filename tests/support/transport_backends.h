// The backends that the conformance suites run over; each joins with one entry.
#pragma once

#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "csrc/transport/inproc/inproc.h"
#include "csrc/transport/ucx/ucx.h"
#include "tests/support/transport_rank.h"

namespace switchyard::test {

struct TransportBackend {
  const char* name;
  /// Why it cannot run here; empty when it can.
  std::function<std::string()> why_not;
  MakeTransport make;
  /// Whether peers notice when an end goes while its process lives.
  bool sees_ends_leave = true;
};

inline std::string backend_name(const ::testing::TestParamInfo<TransportBackend>& info) {
  return info.param.name;
}

inline void PrintTo(const TransportBackend& backend, std::ostream* out) {
  *out << backend.name;
}

/// UCX between threads of one process, as it would go between processes or machines.
inline TransportBackend ucx_backend(const char* name, const char* transports) {
  return {.name = name, .why_not = &transport::why_no_ucx, .make = [=](Bootstrap& bootstrap) {
            return transport::make_ucx_transport(bootstrap, {.transports = transports});
          }};
}

/// Those that also work between processes.
inline std::vector<TransportBackend> process_transport_backends() {
  TransportBackend ucx_shared_memory = ucx_backend("UcxSharedMemory", "shm,self");
  ucx_shared_memory.sees_ends_leave = false;
  return {ucx_backend("UcxTcp", "tcp,self"), ucx_shared_memory};
}

inline std::vector<TransportBackend> transport_backends() {
  std::vector<TransportBackend> backends = process_transport_backends();
  backends.push_back({.name = "Inproc",
                      .why_not = [] { return std::string(); },
                      .make = transport::make_inproc_transport});
  return backends;
}

}  // namespace switchyard::test
