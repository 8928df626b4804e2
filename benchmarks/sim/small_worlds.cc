// Which small worlds are explored: each path of the protocol in a world of its own.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "benchmarks/sim/explore.h"
#include "switchyard/error.h"

namespace switchyard::sim {
namespace {

constexpr std::array<NamedWorld, 15> kWorlds{{
    {"dispatch", {}},
    {"dispatch-expert-major", {.layout = Layout::kExpertMajor}},
    {"dispatch-expert-major-copies-by-receiver",
     {.layout = Layout::kExpertMajor, .expert_copies = ExpertCopies::kByReceiver}},
    {"dispatch-padded", {.layout = Layout::kPadded}},
    {"dispatch-padded-places-given-ahead", {.layout = Layout::kPadded, .repeats = true}},
    {"dispatch-along-a-handle", {.follows = true}},
    {"dispatch-refused", {.refused = true}},
    {"dispatch-padded-refused", {.layout = Layout::kPadded, .refused = true}},
    {"combine", {.combines = true}},
    {"combine-private-rows", {.combines = true, .expert_rows = ExpertRows::kPrivate}},
    {"combine-expert-major", {.layout = Layout::kExpertMajor, .combines = true}},
    {"dispatch-two-channels", {.num_channels = 2}},
    {"combine-private-rows-two-channels",
     {.combines = true, .expert_rows = ExpertRows::kPrivate, .num_channels = 2}},
    {"dispatch-three-ranks", {.num_ranks = 3}},
    {"combine-three-ranks", {.combines = true, .num_ranks = 3}},
}};

}  // namespace

std::string NamedWorld::command_line(const ExploreOptions& options) const {
  return fmt::format("switchyard sim --explore {}{}{}{}",
                     name,
                     options.keep_blocked ? " --keep-blocked" : "",
                     options.weaken.empty() ? "" : " --weaken ",
                     options.weaken);
}

std::span<const NamedWorld> small_worlds() {
  return kWorlds;
}

const NamedWorld& small_world(std::string_view name) {
  const auto* found = std::find_if(
      kWorlds.begin(), kWorlds.end(), [&](const NamedWorld& each) { return each.name == name; });
  if (found != kWorlds.end()) {
    return *found;
  }
  std::string names;
  for (const NamedWorld& each : kWorlds) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", each.name);
  }
  throw InvalidArgument(fmt::format("explore: got \"{}\", wanted one of: {}", name, names));
}

}  // namespace switchyard::sim
