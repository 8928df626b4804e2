#include "csrc/transport/transport_kind.h"

#include <fmt/format.h>

#include "switchyard/error.h"

namespace switchyard::transport {

const char* transport_kind_name(TransportKind kind) {
  switch (kind) {
    case TransportKind::kAuto:
      return "auto";
    case TransportKind::kInproc:
      return "inproc";
    case TransportKind::kUcx:
      return "ucx";
    case TransportKind::kVerbs:
      return "verbs";
  }
  return "unknown";
}

TransportKind parse_transport_kind(std::string_view name) {
  for (const TransportKind kind :
       {TransportKind::kAuto, TransportKind::kInproc, TransportKind::kUcx, TransportKind::kVerbs}) {
    if (name == transport_kind_name(kind)) {
      return kind;
    }
  }
  throw InvalidArgument(
      fmt::format("transport '{}': wanted auto, inproc, ucx or verbs", std::string(name)));
}

}  // namespace switchyard::transport
