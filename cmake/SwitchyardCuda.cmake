# Whether device code is built (SWITCHYARD_CUDA becomes ON or OFF), with which nvcc, and for which GPUs.

# Fills `out_reason` with why there is no nvcc that will do, or "". 12.8 is the first that knows sm_100a and the ISA 8.6
# of ptx/bulk_copy.h; distributions still ship older ones.
function(switchyard_find_nvcc out_reason)
  set(minimum 12.8)
  set(nvcc "${CMAKE_CUDA_COMPILER}")
  if(NOT nvcc)
    set(nvcc "$ENV{CUDACXX}")
  endif()
  if(NOT nvcc)
    find_program(SWITCHYARD_NVCC nvcc PATHS /usr/local/cuda/bin)
    mark_as_advanced(SWITCHYARD_NVCC)
    set(nvcc "${SWITCHYARD_NVCC}")
  endif()
  if(NOT nvcc)
    set(${out_reason} "there is no nvcc on PATH, in CUDACXX or in /usr/local/cuda/bin" PARENT_SCOPE)
    return()
  endif()
  execute_process(
    COMMAND "${nvcc}" --version
    OUTPUT_VARIABLE version
    ERROR_QUIET
    RESULT_VARIABLE result)
  if(NOT version MATCHES "release ([0-9.]+)")
    set(${out_reason} "${nvcc} --version fails (${result})" PARENT_SCOPE)
  elseif(CMAKE_MATCH_1 VERSION_LESS minimum)
    set(${out_reason} "${nvcc} is CUDA ${CMAKE_MATCH_1}, and sm_100a needs ${minimum}" PARENT_SCOPE)
  else()
    set(${out_reason} "" PARENT_SCOPE)
    # Where CMake looks for it, unless CMAKE_CUDA_COMPILER says otherwise.
    set(ENV{CUDACXX} "${nvcc}")
  endif()
endfunction()

# Device code cannot be built for `reason`: off where that is left to us, else the end of the configuration.
macro(switchyard_cuda_off reason)
  set(SWITCHYARD_CUDA_OFF_REASON "${reason}")
  if(SWITCHYARD_CUDA STREQUAL "AUTO")
    message(STATUS "Device code: off, ${SWITCHYARD_CUDA_OFF_REASON}")
    set(SWITCHYARD_CUDA OFF)
  else()
    message(FATAL_ERROR "SWITCHYARD_CUDA is ${SWITCHYARD_CUDA}, but ${SWITCHYARD_CUDA_OFF_REASON}. "
                        "Install the CUDA toolkit (a GPU is not needed), name its nvcc by CMAKE_CUDA_COMPILER, "
                        "or set SWITCHYARD_CUDA=OFF.")
  endif()
endmacro()

set(SWITCHYARD_CUDA_OFF_REASON "SWITCHYARD_CUDA is ${SWITCHYARD_CUDA}")
if(SWITCHYARD_CUDA STREQUAL "AUTO" AND SWITCHYARD_SANITIZE)
  switchyard_cuda_off("this is a sanitizer build")
elseif(SWITCHYARD_CUDA)
  switchyard_find_nvcc(SWITCHYARD_CUDA_OFF_REASON)
  if(SWITCHYARD_CUDA STREQUAL "AUTO" AND NOT SWITCHYARD_CUDA_OFF_REASON AND NOT CMAKE_CUDA_COMPILER_LOADED)
    # Tries it in a project of its own: an nvcc that refuses this machine's g++ would end the configuration.
    include(CheckLanguage)
    check_language(CUDA)
    if(NOT CMAKE_CUDA_COMPILER)
      set(SWITCHYARD_CUDA_OFF_REASON "$ENV{CUDACXX} compiles nothing here (SWITCHYARD_CUDA=ON shows why)")
    endif()
  endif()
  if(SWITCHYARD_CUDA_OFF_REASON)
    switchyard_cuda_off("${SWITCHYARD_CUDA_OFF_REASON}")
  endif()
endif()
if(NOT SWITCHYARD_CUDA)
  return()
endif()

# The flags are spelled out because older CMake (3.25 still) knows neither these GPUs nor nvcc's C++20.
set(CMAKE_CUDA_ARCHITECTURES OFF)
enable_language(CUDA)
# QUIET: it also speaks of parts that nothing here needs, such as cuBLAS.
find_package(CUDAToolkit QUIET)
if(NOT CUDAToolkit_FOUND OR NOT TARGET CUDA::cudart)
  switchyard_cuda_off("the toolkit of ${CMAKE_CUDA_COMPILER} lacks its headers or its runtime library")
  return()
endif()
set(SWITCHYARD_CUDA ON)
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
endif()
set(CMAKE_CUDA_STANDARD 20)
# Hopper and Blackwell, with their own instructions (the "a"), and Ampere, which has no bulk copies.
set(SWITCHYARD_CUDA_TARGETS 80 90a 100a)
foreach(target IN LISTS SWITCHYARD_CUDA_TARGETS)
  add_compile_options(
    "$<$<COMPILE_LANGUAGE:CUDA>:SHELL:-gencode arch=compute_${target},code=sm_${target}>")
endforeach()
add_compile_options(
  # Constant functions of the standard library and of include/switchyard serve device code too.
  "$<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr>"
  # As -ffp-contract=off on the host: products and sums round apart on every target.
  "$<$<COMPILE_LANGUAGE:CUDA>:-fmad=false>"
  "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-ffp-contract=off>")
