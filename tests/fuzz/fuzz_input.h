// A fuzzer's bytes as numbers. When they run out, everything is 0.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

namespace switchyard::fuzz {

class FuzzInput {
 public:
  FuzzInput(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}

  [[nodiscard]] bool empty() const { return rest_.empty(); }
  [[nodiscard]] std::size_t size() const { return rest_.size(); }

  template <class Number>
  Number number() {
    Number value{};
    fill(&value, sizeof(value));
    return value;
  }
  /// 0 .. count - 1; one byte of input.
  std::uint32_t below(std::uint32_t count) { return number<std::uint8_t>() % count; }
  bool flip() { return below(2) != 0; }

  std::span<const std::byte> bytes(std::size_t count) {
    const auto taken = rest_.first(std::min(count, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return std::as_bytes(taken);
  }
  /// Writes the next bytes to `to`; what they do not reach stays as it is.
  void fill(void* to, std::size_t count) {
    const auto taken = bytes(count);
    if (!taken.empty()) {
      std::memcpy(to, taken.data(), taken.size());
    }
  }
  std::string text(std::size_t count) {
    const auto taken = bytes(count);
    return taken.empty() ? std::string()
                         : std::string(reinterpret_cast<const char*>(taken.data()), taken.size());
  }

 private:
  std::span<const std::uint8_t> rest_;
};

/// Ends the process with a message, as a sanitizer would: a finding.
[[noreturn]] void report_finding(const std::string& what);

inline void expect(bool condition, const char* what) {
  if (!condition) {
    report_finding(what);
  }
}

}  // namespace switchyard::fuzz
