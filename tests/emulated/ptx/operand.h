// In place of ptx/operand.h: what words instructions work on. Addresses are pointers here.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

namespace switchyard::ptx {

template <class T>
concept Word = std::unsigned_integral<T> &&(sizeof(T) == 4 || sizeof(T) == 8);

}  // namespace switchyard::ptx
