// A recorded routing of --routing file:PATH.
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "benchmarks/common/trace_file.h"
#include "switchyard/error.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

using switchyard::fuzz::expect;

/// A file without a name: nothing is written to a disk.
class MemoryFile {
 public:
  MemoryFile() : fd_(::memfd_create("fuzz", MFD_CLOEXEC)) {}
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(fd_); }

  void hold(const std::uint8_t* data, std::size_t size) const {
    expect(::ftruncate(fd_, 0) == 0, "the file can be emptied");
    expect(::pwrite(fd_, data, size, 0) == static_cast<ssize_t>(size), "the file can be written");
  }
  [[nodiscard]] std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const MemoryFile file;
  if (size == 0) {
    return 0;
  }
  file.hold(data, size);
  switchyard::bench::Workload workload;
  workload.topk = 2;
  workload.num_experts = 16;
  try {
    const auto recorded = switchyard::bench::read_trace(file.path(), workload);
    expect(recorded.num_rows > 0, "an empty trace was accepted");
    expect(recorded.topk_idx.size() == static_cast<std::size_t>(recorded.num_rows) * 2,
           "rows and entries differ");
    for (const std::int64_t expert : recorded.topk_idx) {
      expect(expert >= -1 && expert < 16, "an expert out of range was accepted");
    }
  } catch (const switchyard::InvalidArgument& error) {
    for (const char c : std::string(error.what())) {
      expect(static_cast<unsigned char>(c) >= ' ', "a control character would reach a terminal");
    }
  }
  return 0;
}
