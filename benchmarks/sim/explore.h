// Every run of one operation in a small world: each order of the roles' steps, and at each load
// each choice of which stores are visible by then. Stateless: a run is repeated from its start
// along a list of decisions.
//
// What is left out, and why nothing is lost:
//  - A store becomes visible at the load that sees it, or at the end. Earlier moments differ for
//    nobody: until then nobody looks.
//  - A state that was met before is not gone on with. States are equal when every role has advanced
//    as often and seen the same new values in the same order, and the same stores are held back.
//  - A step that ends blocked is not gone on with: it has stored nothing, and a later step of the
//    role sees at least as much. Only where no word is written twice; ExploreOptions::keep_blocked
//    goes on with it nevertheless.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "benchmarks/sim/exchange_plan.h"
#include "csrc/targets/sim/weak_memory.h"

namespace switchyard::sim {

class World;
class SimRole;

struct Exploration {
  std::uint64_t num_states = 0;
  std::uint64_t num_steps = 0;  ///< transitions: steps of roles, each visibility by itself
  std::uint64_t num_ends = 0;   ///< runs that came to an end and were judged
  bool complete = false;        ///< false: the limit was reached, or something is wrong
  std::string problem;          ///< what, and the steps that lead there; empty: nothing
};

struct ExploreOptions {
  std::uint64_t max_steps = 20'000'000;
  bool keep_blocked = false;
  std::string weaken{};  ///< a site that is to order nothing
};

/// Explores the last operation of a plan; those before it run once, in one order.
class Explorer final : public VisibilityChooser {
 public:
  Explorer(const ExchangePlan& plan, const ExploreOptions& options)
      : plan_(plan), options_(options) {}

  Exploration explore();

  bool is_visible() override;

 private:
  struct Decision {
    std::uint32_t num_options;
    std::uint32_t chosen;
    bool is_step;            ///< who steps, and not what is visible
    bool somebody_advanced;  ///< whichever of the roles so far
  };

  void run_once();
  bool step_chosen(std::vector<SimRole*>& roles);
  std::uint32_t decide(std::uint32_t num_options, bool is_step);
  bool go_back();
  [[nodiscard]] std::uint64_t digest(World& world) const;

  ExchangePlan plan_;
  ExploreOptions options_;
  std::vector<Decision> decisions_;
  std::size_t depth_ = 0;
  bool exploring_ = false;
  std::unordered_set<std::uint64_t> states_;
  Exploration result_;
};

/// A token of each rank for an expert of it and one of the next rank, rows of 16 bytes.
struct SmallWorld {
  Layout layout = Layout::kRankMajor;
  ExpertCopies expert_copies = ExpertCopies::kBySender;
  bool follows = false;   ///< the second dispatch goes along the handle of the first
  bool repeats = false;   ///< the second of two dispatches, counted anew
  bool refused = false;   ///< rank 1 gives too little memory
  bool combines = false;  ///< the combine after the dispatch
  ExpertRows expert_rows = ExpertRows::kOverLandedRows;
  int num_ranks = 2;
  int num_channels = 1;
};
ExchangePlan small_plan(const SmallWorld& world);

/// The worlds that are explored, by the names of `switchyard sim --explore`.
struct NamedWorld {
  std::string_view name;
  SmallWorld world;

  /// The one line that explores it again.
  [[nodiscard]] std::string command_line(const ExploreOptions& options) const;
};
std::span<const NamedWorld> small_worlds();
/// Errors: InvalidArgument naming what there is
const NamedWorld& small_world(std::string_view name);

}  // namespace switchyard::sim
