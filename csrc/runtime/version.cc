#include "switchyard/version.h"

#include <fmt/format.h>

#include <string>

namespace switchyard {

const char* version() {
  static const std::string text =
      fmt::format("{}.{}.{}", kVersionMajor, kVersionMinor, kVersionPatch);
  return text.c_str();
}

}  // namespace switchyard
