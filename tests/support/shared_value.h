// A value that a test shares with the processes it forks.
#pragma once

#include <sys/mman.h>

#include <new>
#include <stdexcept>

namespace switchyard::test {

template <class T>
class SharedValue {
 public:
  SharedValue() {
    void* memory =
        mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      throw std::runtime_error("cannot map memory for the test's processes");
    }
    value_ = new (memory) T{};
  }
  SharedValue(const SharedValue&) = delete;
  SharedValue& operator=(const SharedValue&) = delete;
  ~SharedValue() { munmap(value_, sizeof(T)); }

  T* operator->() const { return value_; }
  T& operator*() const { return *value_; }

 private:
  T* value_;
};

}  // namespace switchyard::test
