// Where in csrc/protocol an ordered operation is called: the places that a mutation test weakens
// one by one. A warp's operations learn it from the compiler, so roles need no mark.
#pragma once

#include <cstdint>
#include <map>
#include <source_location>
#include <string>

namespace switchyard::sim {

#if defined(__cpp_lib_source_location)
using Place = std::source_location;
#else
/// For compilers that do not know it yet (clang 14).
class Place {
 public:
  static constexpr Place current(const char* file = __builtin_FILE(),
                                 const char* function = __builtin_FUNCTION(),
                                 unsigned line = __builtin_LINE()) {
    Place place;
    place.file_ = file;
    place.function_ = function;
    place.line_ = line;
    return place;
  }
  [[nodiscard]] constexpr const char* file_name() const { return file_; }
  [[nodiscard]] constexpr const char* function_name() const { return function_; }
  [[nodiscard]] constexpr unsigned line() const { return line_; }

 private:
  const char* file_ = "";
  const char* function_ = "";
  unsigned line_ = 0;
};
#endif

enum class Ordering : std::uint8_t { kAcquire, kRelease, kAddRelease };

struct Site {
  Ordering ordering = Ordering::kAcquire;
  Place where = Place::current();

  /// "mailbox.h:54".
  [[nodiscard]] std::string name() const;
};

/// Every site that was reached, and how often.
class SiteLog {
 public:
  struct Use {
    Ordering ordering = Ordering::kAcquire;
    std::string function;  ///< "fail_operation"
    std::uint64_t count = 0;
  };

  void count(const Site& site);
  [[nodiscard]] const std::map<std::string, Use>& uses() const { return uses_; }

 private:
  std::map<std::string, Use> uses_;
};

}  // namespace switchyard::sim
