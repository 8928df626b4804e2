#include "benchmarks/cli/bench_help.h"

#include "benchmarks/common/routing_source.h"

namespace switchyard::bench {
namespace {

// The same text with every line moved right.
std::string indented(const std::string& text) {
  std::string result = "  ";
  for (const char c : text) {
    result += c;
    if (c == '\n') {
      result += "  ";
    }
  }
  return result;
}

}  // namespace

std::string bench_help_footer() {
  return "Routing:\n" + indented(routing_help()) + R"(

What is measured:
  time      Of a whole dispatch and a whole combine: from the moment the first rank begins until the
            slowest has ended, all ranks having met just before. Median, 10th and 90th percentile and
            maximum over the iterations.
  payload   GB/s of rows alone, rows that stay on their rank included.
  wire      GB/s of what leaves the rank, with scales and metadata.
  logical   GB/s of all rows, local ones too, with scales and metadata.
            GB = 1e9 bytes. Rates are per rank: bytes averaged over the ranks, time of the slowest rank.
  vs mpi    With --versus mpi, how many times longer a rival takes. mpi: what one would write first; every
            row of the layout is packed, sent and returned. mpi_dedup: the strongest we could write; a token
            goes once to each rank, what stays on its rank is not packed, sums return. In 10 rounds ours and
            the rivals start anew and measure a share of the iterations; medians are of all rounds.
  roof      A bare copy of the same rows between the same ranks, from and to the very memory of the
            operation, by as many threads as the ranks have workers, timed between the iterations;
            the faster of streaming stores and memcpy.
            For combine every contribution is read and every sum written once.
            On a GPU: each row read once and written once at the rate at which the GPU copies its own
            memory, measured between the iterations.
  memory    Of the rank with the most: inputs, highest use of its heap, private memory of the library.
  data      In the first and the last timed iteration every row, index, weight, count and sum is compared
            with an independent reference, in memory that was overwritten before.

Exit codes: 0 all well; 1 a wrong byte, or a run that failed; 2 wrong arguments; 130 interrupted.
)";
}

}  // namespace switchyard::bench
