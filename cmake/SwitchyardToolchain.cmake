# Language level, flags that all code of this project shares, and the faster tools (ccache, mold) where they exist.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# A fused multiply-add rounds once where the contract rounds twice: results would depend on the compiler's mood.
add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off>)

if(SWITCHYARD_SANITIZE)
  add_compile_options(
    $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${SWITCHYARD_SANITIZE}>
    $<$<COMPILE_LANGUAGE:CXX>:-fno-sanitize-recover=all>
    $<$<COMPILE_LANGUAGE:CXX>:-fno-omit-frame-pointer>
    # Lines and names are all that a report shows. measured: GCC 12, buffer_state.cc with address,undefined:
    # -O2 -g 4.6 s, -O1 -g1 2.4 s of CPU time.
    $<$<COMPILE_LANGUAGE:CXX>:-O1>
    $<$<COMPILE_LANGUAGE:CXX>:-g1>)
  add_link_options(-fsanitize=${SWITCHYARD_SANITIZE})
endif()

# Every object counts the branches it takes; the fuzzers' main() comes at their own link. Warnings are the other builds'
# business: clang means other things by the same flags.
if(SWITCHYARD_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "SWITCHYARD_FUZZ needs clang and its libFuzzer, got ${CMAKE_CXX_COMPILER_ID}; use the preset fuzz")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link -w)
  # One instruction set of the row operations is enough here, and compiles in a tenth of the time.
  add_compile_definitions(HWY_COMPILE_ONLY_STATIC)
endif()

# Paths below the checkout are hashed relative to it, so that a second clone finds the first one's objects.
find_program(SWITCHYARD_CCACHE ccache)
if(SWITCHYARD_CCACHE AND PROJECT_IS_TOP_LEVEL)
  set(CMAKE_CXX_COMPILER_LAUNCHER
      "${CMAKE_COMMAND}" -E env "CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}" CCACHE_NOHASHDIR=1
      "${SWITCHYARD_CCACHE}")
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
elseif(PROJECT_IS_TOP_LEVEL)
  message(STATUS "ccache: off, not found (rebuilds are slower)")
endif()

# A program that never uses UCX shall not load it: UCX hooks the memory calls of whatever does.
add_link_options(LINKER:--as-needed)

if(PROJECT_IS_TOP_LEVEL)
  # GCC before 12.1 knows no -fuse-ld=mold, so finding the program is not enough.
  include(CheckLinkerFlag)
  check_linker_flag(CXX -fuse-ld=mold SWITCHYARD_LINKER_IS_MOLD)
  if(SWITCHYARD_LINKER_IS_MOLD)
    add_link_options(-fuse-ld=mold)
  else()
    message(STATUS "mold: off, not found or not known to this compiler (linking is slower)")
  endif()
endif()
