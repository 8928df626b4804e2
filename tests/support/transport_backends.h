// The backends that the conformance suites run over; each joins with one entry.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>
#include <string>
#include <vector>

#include "csrc/bootstrap/environment.h"
#include "csrc/transport/inproc/inproc.h"
#include "csrc/transport/ucx/ucx.h"
#include "csrc/transport/verbs/verbs.h"
#include "tests/support/transport_rank.h"

namespace switchyard::test {

struct TransportBackend {
  const char* name;
  /// Why it cannot run here; empty when it can.
  std::function<std::string()> why_not;
  MakeTransport make;
  /// Whether peers notice when an end goes while its process lives.
  bool sees_ends_leave = true;
  /// Whether a put into a region that was deregistered is refused, whoever posts it.
  bool refuses_old_keys = true;
};

inline std::string backend_name(const ::testing::TestParamInfo<TransportBackend>& info) {
  return info.param.name;
}

inline void PrintTo(const TransportBackend& backend, std::ostream* out) {
  *out << backend.name;
}

/// UCX between threads of one process, as it would go between processes or machines.
inline TransportBackend ucx_backend(const char* name, const char* transports) {
  return {.name = name,
          .why_not = &transport::why_no_ucx,
          .make =
              [=](Bootstrap& bootstrap) {
                return transport::make_ucx_transport(bootstrap, {.transports = transports});
              },
          .refuses_old_keys = false};
}

/// The RDMA devices that tests use, by rank in turn: those of SWITCHYARD_TEST_RDMA_DEVICES
/// ("rxe0,rxe1"), else the first that is active.
inline transport::VerbsOptions verbs_options(int rank) {
  transport::VerbsOptions options;
  const std::string names = bootstrap::read_variable("SWITCHYARD_TEST_RDMA_DEVICES").value_or("");
  const auto num_devices = 1 + std::count(names.begin(), names.end(), ',');
  std::size_t begin = 0;
  for (auto skipped = rank % num_devices; skipped > 0; --skipped) {
    begin = names.find(',', begin) + 1;
  }
  options.device = names.substr(begin, names.find(',', begin) - begin);
  return options;
}

inline TransportBackend verbs_backend() {
  return {.name = "Verbs",
          .why_not = [] { return transport::why_no_verbs(verbs_options(0)); },
          .make =
              [](Bootstrap& bootstrap) {
                return transport::make_verbs_transport(bootstrap, verbs_options(bootstrap.rank()));
              }};
}

/// Those that also work between processes.
inline std::vector<TransportBackend> process_transport_backends() {
  TransportBackend ucx_shared_memory = ucx_backend("UcxSharedMemory", "shm,self");
  ucx_shared_memory.sees_ends_leave = false;
  return {ucx_backend("UcxTcp", "tcp,self"), ucx_shared_memory, verbs_backend()};
}

inline std::vector<TransportBackend> transport_backends() {
  std::vector<TransportBackend> backends = process_transport_backends();
  backends.push_back({.name = "Inproc",
                      .why_not = [] { return std::string(); },
                      .make = transport::make_inproc_transport});
  return backends;
}

}  // namespace switchyard::test
