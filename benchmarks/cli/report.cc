#include "benchmarks/cli/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "switchyard/error.h"

namespace switchyard::bench {

bool Report::verified() const {
  return std::all_of(
      results.begin(), results.end(), [](const OpResult& result) { return result.verified; });
}

void write_file(const std::string& path, const std::string& text) {
  std::FILE* file = std::fopen(path.c_str(), "we");
  bool ok = file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  const int write_error = errno;
  // A full disk may show only here.
  const bool closed = file != nullptr && std::fclose(file) == 0;
  ok = ok && closed;
  if (!ok) {
    const int error = closed || file == nullptr ? write_error : errno;
    throw SystemError(
        error,
        fmt::format(
            "cannot write {} bytes to \"{}\": {}", text.size(), path, std::strerror(error)));
  }
}

}  // namespace switchyard::bench
