#include "benchmarks/common/trace_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <exception>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <system_error>
#include <xtensor/xnpy.hpp>

#include "switchyard/error.h"

namespace switchyard::bench {

namespace {

constexpr std::uintmax_t kMaxFileBytes = std::uintmax_t{4} << 30U;
constexpr std::size_t kPreludeBytes = 10;  // magic, version, two bytes of header length
// xnpy reads the length bytes as signed: from 128 on it would take another length. NumPy writes 118
// for such arrays.
constexpr std::size_t kMaxHeaderBytes = 127;

[[noreturn]] void reject(const std::string& path, const std::string& got) {
  throw InvalidArgument(fmt::format(
      "routing file \"{}\": got {}, wanted a NumPy array [tokens, topk] of int32 or int64 in "
      "C order (numpy.save)",
      path,
      got));
}

// File content as part of a message: no control characters, no padding.
std::string printable(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c > '~'; }, ' ');
  text.erase(text.find_last_not_of(' ') + 1);
  return text;
}

std::string read_file(const std::string& path) {
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  if (error) {
    reject(path, error.message());
  }
  if (size > kMaxFileBytes) {
    reject(path, fmt::format("{} bytes (at most {})", size, kMaxFileBytes));
  }
  std::ifstream stream(path, std::ios::binary);
  std::string bytes(static_cast<std::size_t>(size), '\0');
  if (!stream.read(bytes.data(), static_cast<std::streamsize>(bytes.size()))) {
    reject(path, "a file that cannot be read");
  }
  return bytes;
}

struct Header {
  std::string descr;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
};

std::int64_t to_extent(const std::string& path, const std::string& digits) {
  std::int64_t extent = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), extent);
  if (error != std::errc{}) {
    reject(path, fmt::format("an extent of {}", digits));
  }
  return extent;
}

// xnpy believes lengths and shapes, allocates what they say and does not notice a short file, so
// they are held against the file's size first.
Header check_header(const std::string& path, const std::string& bytes) {
  if (bytes.size() < kPreludeBytes ||
      bytes.compare(0, 8, std::string("\x93NUMPY\x01\x00", 8)) != 0) {
    reject(path, "a file without the start of NumPy's format version 1.0");
  }
  const auto header_bytes = static_cast<std::size_t>(static_cast<unsigned char>(bytes[8])) +
                            static_cast<std::size_t>(static_cast<unsigned char>(bytes[9])) * 256;
  if (header_bytes == 0 || header_bytes > kMaxHeaderBytes ||
      kPreludeBytes + header_bytes > bytes.size()) {
    reject(path, fmt::format("a header of {} bytes in a file of {}", header_bytes, bytes.size()));
  }
  const std::string text = bytes.substr(kPreludeBytes, header_bytes);
  static const std::regex pattern(
      R"(^\{'descr': *'([^']*)', *'fortran_order': *(True|False), *'shape': *\((\d+), *(\d+),?\),? *\} *\n$)");
  std::smatch match;
  if (!std::regex_match(text, match, pattern)) {
    reject(path, fmt::format("the header {}", printable(text)));
  }
  Header header{match[1], to_extent(path, match[3]), to_extent(path, match[4])};
  if (match[2] == "True" || (header.descr != "<i4" && header.descr != "<i8")) {
    reject(path, fmt::format("type {}, fortran_order {}", printable(header.descr), match[2].str()));
  }
  const std::int64_t elem_bytes = header.descr == "<i4" ? 4 : 8;
  const auto data_bytes = static_cast<std::int64_t>(bytes.size() - kPreludeBytes - header_bytes);
  if (header.columns < 1 || header.columns > kMaxTopk || header.rows < 1 ||
      header.rows > data_bytes || header.rows * header.columns * elem_bytes != data_bytes) {
    reject(path,
           fmt::format("shape ({}, {}) of {} with {} bytes of data",
                       header.rows,
                       header.columns,
                       header.descr,
                       data_bytes));
  }
  return header;
}

template <class Integer>
std::vector<std::int64_t> load(const std::string& path, const std::string& bytes) {
  try {
    std::istringstream stream(bytes);
    const auto array = xt::load_npy<Integer, xt::layout_type::row_major>(stream);
    return {array.begin(), array.end()};
  } catch (const std::exception& error) {
    reject(path, error.what());
  }
}

}  // namespace

Trace read_trace(const std::string& path, const Workload& workload) {
  const std::string bytes = read_file(path);
  const Header header = check_header(path, bytes);
  if (header.columns != workload.topk) {
    throw InvalidArgument(
        fmt::format("routing file \"{}\": got shape ({}, {}), wanted (tokens, {}) for top-{}",
                    path,
                    header.rows,
                    header.columns,
                    workload.topk,
                    workload.topk));
  }
  Trace trace{
      header.rows,
      header.descr == "<i4" ? load<std::int32_t>(path, bytes) : load<std::int64_t>(path, bytes)};
  for (std::size_t i = 0; i < trace.topk_idx.size(); ++i) {
    if (trace.topk_idx[i] < -1 || trace.topk_idx[i] >= workload.num_experts) {
      const auto topk = static_cast<std::size_t>(workload.topk);
      throw InvalidArgument(
          fmt::format("routing file \"{}\": got expert {} at [{}][{}], wanted -1 to {}",
                      path,
                      trace.topk_idx[i],
                      i / topk,
                      i % topk,
                      workload.num_experts - 1));
    }
  }
  return trace;
}

}  // namespace switchyard::bench
