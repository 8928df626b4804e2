// Owns one file descriptor.
#pragma once

#include <unistd.h>

#include <utility>

namespace switchyard::bootstrap {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~UniqueFd() {
    if (fd_ >= 0) {
      // Not repeated on EINTR: Linux has closed the descriptor by then, and its number may be in
      // use again.
      ::close(fd_);
    }
  }

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }
  /// Gives the descriptor to the caller, who closes it.
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  void reset() { const UniqueFd closing(release()); }

 private:
  int fd_ = -1;
};

}  // namespace switchyard::bootstrap
