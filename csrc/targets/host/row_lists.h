// What reduce_rows adds to what, in the order of protocol::Reduction: biases, then terms.
#pragma once

#include <array>
#include <cstddef>

#include "csrc/protocol/row_math.h"

namespace switchyard::host {

inline constexpr std::size_t kMaxAddends = protocol::kMaxBiases + protocol::kMaxTerms;

/// No weights and no group or node of several rows: all roundings to the wire type but the last
/// change nothing, and rows can be added up as they are.
inline bool is_plain(const protocol::Reduction& reduction) {
  bool plain = !reduction.weighted;
  for (int i = 0; i + 1 < reduction.num_terms; ++i) {
    const protocol::Term& term = reduction.terms[i];
    plain = plain && term.closes_group && (term.closes_node || !reduction.by_node);
  }
  return plain;
}

/// A bias or a term. A bias is a group, and a node, of its own. Weight 1, of biases and of
/// unweighted terms, changes nothing.
struct Addend {
  const std::byte* row;
  float weight;
  bool opens_group;
  bool closes_group;
  bool closes_node;
};

class Addends {
 public:
  explicit Addends(const protocol::Reduction& reduction) {
    for (int i = 0; i < reduction.num_biases; ++i) {
      list_[num_++] = {reduction.biases[i], 1.0F, true, true, true};
    }
    bool opens_group = true;
    for (int i = 0; i < reduction.num_terms; ++i) {
      const protocol::Term& term = reduction.terms[i];
      const bool is_last = i + 1 == reduction.num_terms;
      const bool closes_group = term.closes_group || is_last;
      const bool closes_node = term.closes_node || is_last;
      const float weight = reduction.weighted ? term.weight : 1.0F;
      list_[num_++] = {term.row, weight, opens_group, closes_group, closes_node};
      opens_group = closes_group;
    }
  }

  [[nodiscard]] std::size_t num() const { return num_; }
  [[nodiscard]] const Addend& addend(std::size_t i) const { return list_[i]; }
  [[nodiscard]] const std::byte* row(std::size_t i) const { return list_[i].row; }

 private:
  std::array<Addend, kMaxAddends> list_;
  std::size_t num_ = 0;
};

/// The rows of a plain sum.
class PlainRows {
 public:
  explicit PlainRows(const protocol::Reduction& reduction) {
    for (int i = 0; i < reduction.num_biases; ++i) {
      list_[num_++] = reduction.biases[i];
    }
    for (int i = 0; i < reduction.num_terms; ++i) {
      list_[num_++] = reduction.terms[i].row;
    }
  }

  [[nodiscard]] std::size_t num() const { return num_; }
  [[nodiscard]] const std::byte* row(std::size_t i) const { return list_[i]; }

 private:
  std::array<const std::byte*, kMaxAddends> list_;
  std::size_t num_ = 0;
};

/// The same where their number is known to the compiler.
template <std::size_t kNum>
class FixedRows {
 public:
  explicit FixedRows(const PlainRows& rows) {
    for (std::size_t i = 0; i < kNum; ++i) {
      list_[i] = rows.row(i);
    }
  }

  [[nodiscard]] static constexpr std::size_t num() { return kNum; }
  [[nodiscard]] const std::byte* row(std::size_t i) const { return list_[i]; }

 private:
  std::array<const std::byte*, kNum> list_;
};

}  // namespace switchyard::host
