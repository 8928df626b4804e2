// A fixed number of threads that do one piece of work together, again and again.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace switchyard::bench {

class Crew {
 public:
  /// Runs one share of the work. Must not throw.
  using Work = std::function<void(int share, int num_shares)>;

  /// The calling thread counts as one; threads sleep between calls of run().
  explicit Crew(int num_threads);
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;
  ~Crew();

  /// Returns when every share is done.
  void run(const Work& work);

 private:
  void serve(int share);

  int num_threads_;
  std::mutex mutex_;
  std::condition_variable changed_;
  const Work* work_ = nullptr;
  int round_ = 0;
  int unfinished_ = 0;
  bool stop_ = false;
  std::vector<std::thread> helpers_;
};

}  // namespace switchyard::bench
