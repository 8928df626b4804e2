// The protocol's instruction set over a WeakMemory: roles run on it one step at a time, in the
// order of a scheduler or of a test. Rows are computed by the host target's operations.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "csrc/protocol/warp.h"
#include "csrc/targets/sim/network.h"
#include "csrc/targets/sim/weak_memory.h"

namespace switchyard::sim {

/// Models protocol::Warp. Whether a row operation reads its sources at once or late is up to the
/// memory's seed. Lifetime: the memory outlives it
class SimWarp {
 public:
  SimWarp(WeakMemory& memory, int rank, std::string name);

  [[nodiscard]] protocol::Word load_acquire(const protocol::Word* from,
                                            Place where = Place::current());
  [[nodiscard]] protocol::Word load_relaxed(const protocol::Word* from);
  void store_relaxed(protocol::Word* to, protocol::Word value);
  void store_release(protocol::Word* to, protocol::Word value, Place where = Place::current());
  void add_release(protocol::Word* to, protocol::Word value, Place where = Place::current());

  void copy_row(std::byte* const* to,
                int num_dests,
                const std::byte* from,
                std::size_t bytes,
                protocol::CopyHint hint);
  void store_words(std::byte* to,
                   const std::uint32_t* words,
                   std::uint32_t count,
                   Place where = Place::current());
  void expect_words(std::byte* /*to*/) {}
  [[nodiscard]] std::uint32_t load_word(const std::uint32_t* from);
  [[nodiscard]] std::uint32_t sum_words(const std::uint32_t* words, std::uint32_t count);
  [[nodiscard]] float load_float(const float* from);
  void zero_row(std::byte* to, std::size_t bytes);
  void quantize_row(const protocol::Quantization& row,
                    std::byte* const* to,
                    std::byte* const* scales_to,
                    int num_dests,
                    protocol::CopyHint hint);
  void reduce_rows(const protocol::Reduction& reduction,
                   protocol::CopyHint hint,
                   const protocol::Reduction* next);

  /// Across nodes; after attach(). False while the way to the network is full.
  [[nodiscard]] bool put(protocol::RailTrack track, const protocol::RailPut& put);
  [[nodiscard]] bool signal(protocol::RailTrack track,
                            std::uint64_t counter_offset,
                            std::uint64_t value);
  void attach(Network& network) { network_ = &network; }

  [[nodiscard]] std::uint64_t allocate(std::uint64_t bytes);
  [[nodiscard]] std::uint64_t largest_free() const;
  void release(std::uint64_t offset);

  /// Its name in the WeakMemory.
  [[nodiscard]] int id() const { return id_; }
  /// Operations so far that others can notice: stores, and regions taken or given back.
  [[nodiscard]] std::uint64_t num_effects() const { return memory_->num_effects(id_); }

  /// Loads so far that saw something new: with the steps that advanced, all that a role's state
  /// depends on.
  [[nodiscard]] std::uint64_t observations() const { return observations_; }

 private:
  [[nodiscard]] Track network_track(protocol::RailTrack track) const;
  protocol::Word observe(const protocol::Word* from);
  void before_read(const void* from, std::size_t bytes);
  void before_row_read(const void* from, std::size_t bytes);
  [[nodiscard]] std::shared_ptr<RowSource> make_source(std::size_t bytes,
                                                       std::function<void(std::byte*)> read);

  WeakMemory* memory_;
  Network* network_ = nullptr;
  int rank_;
  int id_;
  std::uint64_t observations_ = 0;
  std::unordered_map<const void*, protocol::Word> last_seen_;
};

static_assert(protocol::RailWarp<SimWarp>);

}  // namespace switchyard::sim
