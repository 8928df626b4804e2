// Which backend carries a group's bytes, and why that one.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>

#include "csrc/memory/process_identity.h"
#include "csrc/transport/transport.h"
#include "csrc/transport/transport_kind.h"
#include "csrc/transport/ucx/ucx.h"
#include "csrc/transport/verbs/verbs.h"
#include "switchyard/bootstrap.h"

namespace switchyard::transport {

struct TransportOptions {
  TransportKind kind = TransportKind::kAuto;
  UcxOptions ucx;
  VerbsOptions verbs;
};

/// What one rank asks for and can do; plain bytes that travel.
struct Abilities {
  memory::ProcessIdentity process;
  TransportKind asked = TransportKind::kAuto;
  std::array<char, 199> why_no_ucx{};  ///< empty when it can; cut when long
  std::array<char, 208> why_no_verbs{};
};
static_assert(sizeof(Abilities) == sizeof(memory::ProcessIdentity) + 1 + 199 + 208,
              "no padding: every byte that travels is initialised");

struct TransportChoice {
  TransportKind kind = TransportKind::kAuto;
  std::string reason;  ///< for people: "ucx, since rank 1 has no verbs (...)"
};

/// What auto takes: inproc when all ranks are threads of one process; else verbs where every rank
/// has it; else ucx where every rank has it. Anything else is taken if every rank can.
/// Shapes:     of_rank [num_ranks]
/// Errors:     ConfigMismatch naming a rank that asks for another kind than `my_rank`;
///             InvalidArgument naming a rank that cannot, and why
TransportChoice choose_transport(std::span<const Abilities> of_rank, int my_rank);

struct MadeTransport {
  std::unique_ptr<Transport> transport;
  TransportChoice choice;
};

/// Chooses and makes. Collective. Errors: those of the choice, and of the backend
MadeTransport make_transport(Bootstrap& bootstrap, const TransportOptions& options);

}  // namespace switchyard::transport
