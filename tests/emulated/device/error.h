// What the emulator throws when device code does what a GPU would not forgive.
#pragma once

#include <stdexcept>

namespace switchyard::emulated {

class EmulationError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace switchyard::emulated
