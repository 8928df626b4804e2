#include "tests/fuzz/fuzz_input.h"

#include <cstdio>
#include <cstdlib>

namespace switchyard::fuzz {

void report_finding(const std::string& what) {
  std::fprintf(stderr, "fuzz finding: %s\n", what.c_str());
  std::abort();
}

}  // namespace switchyard::fuzz
