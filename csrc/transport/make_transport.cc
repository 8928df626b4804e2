#include "csrc/transport/make_transport.h"

#include <fmt/format.h>

#include <algorithm>

#include "csrc/bootstrap/gather.h"
#include "csrc/transport/inproc/inproc.h"
#include "switchyard/error.h"

namespace switchyard::transport {
namespace {

/// What copy_text() wrote, on another rank.
template <std::size_t kSize>
std::string text_of(const std::array<char, kSize>& text) {
  return {text.begin(), std::find(text.begin(), text.end(), '\0')};
}

/// Why a rank cannot use a kind; empty when none says so.
std::string first_objection(std::span<const Abilities> of_rank, TransportKind kind) {
  for (std::size_t rank = 0; rank < of_rank.size(); ++rank) {
    const Abilities& its = of_rank[rank];
    std::string why;
    if (kind == TransportKind::kInproc && its.process != of_rank[0].process) {
      why = "it is another process than rank 0";
    } else if (kind == TransportKind::kUcx) {
      why = text_of(its.why_no_ucx);
    } else if (kind == TransportKind::kVerbs) {
      why = text_of(its.why_no_verbs);
    }
    if (!why.empty()) {
      return fmt::format("rank {} has no {} ({})", rank, transport_kind_name(kind), why);
    }
  }
  return {};
}

TransportChoice choose_best(std::span<const Abilities> of_rank) {
  if (first_objection(of_rank, TransportKind::kInproc).empty()) {
    return {TransportKind::kInproc, "inproc, since all ranks are threads of one process"};
  }
  const std::string no_verbs = first_objection(of_rank, TransportKind::kVerbs);
  if (no_verbs.empty()) {
    return {TransportKind::kVerbs, "verbs, since every rank has an active RDMA port"};
  }
  const std::string no_ucx = first_objection(of_rank, TransportKind::kUcx);
  if (no_ucx.empty()) {
    return {TransportKind::kUcx, "ucx, since " + no_verbs};
  }
  throw InvalidArgument(fmt::format(
      "transport auto: none fits every rank: {}; {}; and the ranks are several processes",
      no_verbs,
      no_ucx));
}

/// Copies text and the zero after it, cutting what does not fit.
template <std::size_t kSize>
void copy_text(std::array<char, kSize>& to, const std::string& text) {
  std::copy_n(text.begin(), std::min(text.size(), kSize - 1), to.begin());
}

Abilities abilities_of(const TransportOptions& options) {
  Abilities mine{.process = memory::this_process(), .asked = options.kind};
  copy_text(mine.why_no_ucx, why_no_ucx());
  copy_text(mine.why_no_verbs, why_no_verbs(options.verbs));
  return mine;
}

}  // namespace

TransportChoice choose_transport(std::span<const Abilities> of_rank, int my_rank) {
  const TransportKind asked = of_rank[static_cast<std::size_t>(my_rank)].asked;
  for (std::size_t rank = 0; rank < of_rank.size(); ++rank) {
    if (of_rank[rank].asked != asked) {
      throw ConfigMismatch(
          static_cast<int>(rank),
          fmt::format(
              "transport: rank {} asks for {}, rank {} for {}; give every rank the same value",
              rank,
              transport_kind_name(of_rank[rank].asked),
              my_rank,
              transport_kind_name(asked)));
    }
  }
  if (asked == TransportKind::kAuto) {
    return choose_best(of_rank);
  }
  if (const std::string objection = first_objection(of_rank, asked); !objection.empty()) {
    throw InvalidArgument(fmt::format(
        "transport {}: {}; auto takes what every rank has", transport_kind_name(asked), objection));
  }
  return {asked, fmt::format("{}, as asked", transport_kind_name(asked))};
}

MadeTransport make_transport(Bootstrap& bootstrap, const TransportOptions& options) {
  const auto of_rank = bootstrap::gather_values(bootstrap, abilities_of(options));
  MadeTransport made{.transport = nullptr, .choice = choose_transport(of_rank, bootstrap.rank())};
  switch (made.choice.kind) {
    case TransportKind::kUcx:
      made.transport = make_ucx_transport(bootstrap, options.ucx);
      break;
    case TransportKind::kVerbs:
      made.transport = make_verbs_transport(bootstrap, options.verbs);
      break;
    default:
      made.transport = make_inproc_transport(bootstrap);
      break;
  }
  return made;
}

}  // namespace switchyard::transport
