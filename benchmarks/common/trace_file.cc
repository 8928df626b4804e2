// GCC with AddressSanitizer sees uninitialised members in libstdc++'s regular expressions, which
// xnpy uses (GCC bug 105562).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include "benchmarks/common/trace_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <exception>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>
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
  std::string_view descr;
  bool fortran_order = false;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
};

// Reads the header from the front. NumPy writes one form only, and xnpy knows no other.
class HeaderText {
 public:
  explicit HeaderText(std::string_view text) : rest_(text) {}

  bool skip(std::string_view wanted) {
    if (!rest_.starts_with(wanted)) {
      return false;
    }
    rest_.remove_prefix(wanted.size());
    return true;
  }
  bool quoted(std::string_view& value) {
    const std::size_t end = skip("'") ? rest_.find('\'') : std::string_view::npos;
    value = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end, rest_.size()));
    return skip("'");
  }
  bool boolean(bool& value) {
    value = rest_.starts_with("True");
    return skip(value ? "True" : "False");
  }
  bool number(std::int64_t& value) {
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return error == std::errc{};
  }
  /// Nothing but spaces and the newline at the end.
  [[nodiscard]] bool ends() const {
    return rest_.ends_with('\n') && rest_.find_first_not_of(' ') == rest_.size() - 1;
  }

 private:
  std::string_view rest_;
};

bool parse_header(std::string_view header_text, Header& header) {
  HeaderText text(header_text);
  return text.skip("{'descr': ") && text.quoted(header.descr) && text.skip(", 'fortran_order': ") &&
         text.boolean(header.fortran_order) && text.skip(", 'shape': (") &&
         text.number(header.rows) && text.skip(", ") && text.number(header.columns) &&
         text.skip("), }") && text.ends();
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
  const std::string_view text = std::string_view(bytes).substr(kPreludeBytes, header_bytes);
  Header header;
  if (!parse_header(text, header)) {
    reject(path, fmt::format("the header {}", printable(std::string(text))));
  }
  if (header.fortran_order || (header.descr != "<i4" && header.descr != "<i8")) {
    reject(path,
           fmt::format("type {}, fortran_order {}",
                       printable(std::string(header.descr)),
                       header.fortran_order));
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

RecordedRouting read_trace(const std::string& path, const Workload& workload) {
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
  RecordedRouting trace{
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
