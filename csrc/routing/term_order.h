// The contract's order of summation among the entries of one token: groups by their rank's last
// top-k position, within a group by position. Pure functions, compiled for host and device;
// routing::Route has the same order made beforehand for tokens of this rank and one node.
#pragma once

#include <cstdint>

#include "csrc/protocol/host_device.h"
#include "csrc/routing/entry_codes.h"

namespace switchyard::routing {

/// Whether no later entry has the value that entry `k` has.
SY_HOST_DEVICE inline bool is_last_of(const std::int32_t* values, int topk, int k) {
  bool is_last = true;
  for (int later = k + 1; later < topk; ++later) {
    is_last = is_last && values[later] != values[k];
  }
  return is_last;
}

/// Shapes: rank (-1 for none) and opener [topk] in; terms [topk] out, as Route::terms
/// Returns the number of terms.
SY_HOST_DEVICE inline int order_terms(const std::int32_t* rank,
                                      const std::uint8_t* opener,
                                      int topk,
                                      std::uint8_t* terms) {
  int count = 0;
  for (int last = 0; last < topk; ++last) {
    if (rank[last] < 0 || !is_last_of(rank, topk, last)) {
      continue;
    }
    for (int k = 0; k <= last; ++k) {
      if (rank[k] == rank[last] && opener[k] == k) {
        terms[count++] = static_cast<std::uint8_t>(k);
      }
    }
    terms[count - 1] |= kClosesGroup;
  }
  return count;
}

}  // namespace switchyard::routing
