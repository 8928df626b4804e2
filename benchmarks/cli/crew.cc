#include "benchmarks/cli/crew.h"

#include <algorithm>

namespace switchyard::bench {

Crew::Crew(int num_threads) : num_threads_(std::max(num_threads, 1)) {
  for (int share = 1; share < num_threads_; ++share) {
    helpers_.emplace_back([this, share] { serve(share); });
  }
}

Crew::~Crew() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  for (std::thread& helper : helpers_) {
    helper.join();
  }
}

void Crew::run(const Work& work) {
  if (helpers_.empty()) {
    work(0, 1);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    work_ = &work;
    unfinished_ = num_threads_ - 1;
    ++round_;
  }
  changed_.notify_all();
  work(0, num_threads_);
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return unfinished_ == 0; });
}

void Crew::serve(int share) {
  int done_round = 0;
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stop_ || round_ != done_round; });
    if (stop_) {
      return;
    }
    done_round = round_;
    const Work& work = *work_;
    lock.unlock();
    work(share, num_threads_);
    lock.lock();
    if (--unfinished_ == 0) {
      changed_.notify_all();
    }
  }
}

}  // namespace switchyard::bench
