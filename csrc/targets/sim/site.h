// Where in csrc/protocol an ordered operation is called: the places that a mutation test weakens
// one by one. A warp's operations learn it from the compiler, so roles need no mark.
#pragma once

#include <cstdint>
#include <map>
#include <source_location>
#include <string>

namespace switchyard::sim {

enum class Ordering : std::uint8_t { kAcquire, kRelease, kAddRelease };

struct Site {
  Ordering ordering = Ordering::kAcquire;
  std::source_location where = std::source_location::current();

  /// "mailbox.h:41".
  [[nodiscard]] std::string name() const;
};

/// Every site that was reached, and how often.
class SiteLog {
 public:
  struct Use {
    Ordering ordering = Ordering::kAcquire;
    std::string function;  ///< "post_head"
    std::uint64_t count = 0;
  };

  void count(const Site& site);
  [[nodiscard]] const std::map<std::string, Use>& uses() const { return uses_; }

 private:
  std::map<std::string, Use> uses_;
};

}  // namespace switchyard::sim
