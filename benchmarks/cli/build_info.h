// Which source this program was built from. The definition is written by build_info.cmake at every
// build.
#pragma once

namespace switchyard::bench {

/// Abbreviated commit, with "-dirty" after it when files differed; "unknown" outside a checkout.
const char* commit();

}  // namespace switchyard::bench
