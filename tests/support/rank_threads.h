// Runs the ranks of a group as threads and collects what each threw.
#pragma once

#include <exception>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace switchyard::test {

/// Calls `body(rank)` in a thread for each rank and waits for all. Element i is the text of what
/// rank i threw, or "".
inline std::vector<std::string> run_rank_threads(int num_ranks,
                                                 const std::function<void(int rank)>& body) {
  std::vector<std::string> errors(static_cast<std::size_t>(num_ranks));
  std::vector<std::thread> threads;
  threads.reserve(errors.size());
  for (int rank = 0; rank < num_ranks; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        body(rank);
      } catch (const std::exception& error) {
        errors[static_cast<std::size_t>(rank)] = error.what();
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  return errors;
}

}  // namespace switchyard::test
