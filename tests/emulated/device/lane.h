// What device code, as g++ compiles it, asks of the emulator: the intrinsics in cuda_in_gcc.h and
// the wrappers in tests/emulated/ptx are written over these. All are called by a lane.
#pragma once

#include <cstddef>
#include <cstdint>

namespace switchyard::emulated {

/// A place in the text. (std::source_location asks for a younger clang-tidy.)
struct Place {
  const char* file = "";
  int line = 0;

  static constexpr Place here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};

/// How lanes of a warp meet; all must meet in the same way at the same place of the text.
enum class Meeting : std::uint8_t {
  kSyncWarp,
  kShuffle,
  kMatchAny,
  kElect,
};

/// Other lanes may go first.
void maybe_yield();

/// As maybe_yield, for a load that polls: a block that does nothing else gives its turn away.
void note_poll();

/// Waits for every lane of the warp; returns what each brought: [32], until the lane's next
/// meeting.
const std::uint64_t* meet_warp(Meeting how,
                               std::uint32_t lanes,
                               std::uint64_t brings,
                               const Place& where);
void meet_block(const Place& where);
[[nodiscard]] bool is_elected(std::uint32_t lanes, const Place& where);

[[nodiscard]] std::uint32_t lane_of_warp();
[[nodiscard]] std::uint64_t virtual_time_ns();

/// Ordinary stores of rows and words, and stores into vectors that may lie in shared memory.
void note_store(const void* at, std::size_t bytes);
/// The word that arrives where `value` is stored.
std::uint64_t carry_word(const void* at, std::uint64_t value);
void note_vector_store(const void* at, std::size_t bytes);
/// A load, fence or read-modify-write that acquires; one that releases `word`.
void note_acquire();
void note_release(const void* word);
void fence_proxy(bool shared, bool global);

void bulk_load(void* to, const void* from, std::uint32_t bytes, std::uint64_t* barrier);
void bulk_store(void* to, const void* from, std::uint32_t bytes);
void bulk_commit();
void bulk_wait(std::uint32_t pending);
void bulk_wait_read(std::uint32_t pending);

void mbarrier_init(std::uint64_t* barrier, std::uint32_t arrivals);
void mbarrier_end(std::uint64_t* barrier);
void mbarrier_expect(std::uint64_t* barrier, std::uint32_t bytes);
void mbarrier_arrive(std::uint64_t* barrier);
[[nodiscard]] bool mbarrier_test(std::uint64_t* barrier, std::uint32_t parity);

}  // namespace switchyard::emulated
