#include "csrc/targets/sim/site.h"

#include <fmt/format.h>

#include <string_view>

namespace switchyard::sim {
namespace {

/// "fail_operation" of "void switchyard::protocol::fail_operation(W&, ...) [with W = ...]".
std::string short_name(std::string_view function) {
  const std::size_t end = function.find('(');
  std::string_view name = function.substr(0, end);
  const std::size_t space = name.rfind(' ');
  name = space == std::string_view::npos ? name : name.substr(space + 1);
  constexpr std::string_view kPrefix = "switchyard::protocol::";
  return std::string(name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : name);
}

}  // namespace

std::string Site::name() const {
  const std::string_view path = where.file_name();
  const std::size_t slash = path.rfind('/');
  return fmt::format(
      "{}:{}", slash == std::string_view::npos ? path : path.substr(slash + 1), where.line());
}

void SiteLog::count(const Site& site) {
  Use& use = uses_[site.name()];
  use.ordering = site.ordering;
  use.function = short_name(site.where.function_name());
  ++use.count;
}

}  // namespace switchyard::sim
