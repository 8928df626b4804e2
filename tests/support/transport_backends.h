// The backends that the conformance suites run over; each joins with one entry.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "csrc/transport/inproc/inproc.h"
#include "tests/support/transport_rank.h"

namespace switchyard::test {

struct TransportBackend {
  const char* name;
  /// Why it cannot run here; empty when it can.
  std::function<std::string()> why_not;
  MakeTransport make;
};

inline void PrintTo(const TransportBackend& backend, std::ostream* out) {
  *out << backend.name;
}

inline std::vector<TransportBackend> transport_backends() {
  return {
      {"Inproc", [] { return std::string(); }, transport::make_inproc_transport},
  };
}

}  // namespace switchyard::test
