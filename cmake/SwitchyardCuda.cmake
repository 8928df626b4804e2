# nvcc, and the GPUs that device code must compile for: Hopper and Blackwell, with their own instructions (the "a").
if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX} AND EXISTS /usr/local/cuda/bin/nvcc)
  set(CMAKE_CUDA_COMPILER /usr/local/cuda/bin/nvcc)
endif()

# The flags are spelled out because older CMake (3.25 still) knows neither these GPUs nor nvcc's C++20.
set(CMAKE_CUDA_ARCHITECTURES OFF)
enable_language(CUDA)
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
endif()
set(CMAKE_CUDA_STANDARD 20)
add_compile_options(
  # Constant functions of the standard library and of include/switchyard serve device code too.
  "$<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr>"
  "$<$<COMPILE_LANGUAGE:CUDA>:SHELL:-gencode arch=compute_90a,code=sm_90a>"
  "$<$<COMPILE_LANGUAGE:CUDA>:SHELL:-gencode arch=compute_100a,code=sm_100a>"
  # As -ffp-contract=off on the host: products and sums round apart on every target.
  "$<$<COMPILE_LANGUAGE:CUDA>:-fmad=false>"
  "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-ffp-contract=off>")
