// What `switchyard bench --help` says below its options.
#pragma once

#include <string>

namespace switchyard::bench {

std::string bench_help_footer();

}  // namespace switchyard::bench
