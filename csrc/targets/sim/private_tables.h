// Tables in a rank's own memory through which the roles of one operation tell each other more than
// a flag holds. Roles read and write them plainly, so a warp cannot delay them; instead each role
// sees its own view, into which the writes of another one come only once an acquire has made them
// known. A role that reads without order reads what was there before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "csrc/targets/sim/weak_memory.h"

namespace switchyard::sim {

class PrivateTables {
 public:
  explicit PrivateTables(WeakMemory& memory) : memory_(&memory) {}

  /// Before any role steps.
  template <class T>
  void add(T* begin, std::size_t count) {
    if (begin != nullptr && count != 0) {
      add_bytes(reinterpret_cast<std::byte*>(begin), count * sizeof(T));
    }
  }

  /// Around each step of a role: between the two, the tables are as its warp sees them.
  void enter(int warp);
  void leave(int warp);

 private:
  struct Range {
    std::byte* begin;
    std::size_t bytes;
    std::size_t at;  ///< in a view
  };
  struct Write {
    int warp;
    std::uint64_t time;
    std::size_t at;
    std::byte value;
  };
  struct View {
    std::vector<std::byte> bytes;
    std::vector<bool> seen;  ///< by write
  };

  void add_bytes(std::byte* begin, std::size_t bytes);
  [[nodiscard]] std::vector<std::byte> read() const;
  void show(const std::vector<std::byte>& bytes) const;

  WeakMemory* memory_;
  std::vector<Range> ranges_;
  std::vector<std::byte> truth_;  // outside of steps
  std::vector<std::byte> first_;  // before any role wrote
  std::vector<Write> writes_;
  std::map<int, View> views_;
  std::uint64_t entered_ = 0;
};

}  // namespace switchyard::sim
