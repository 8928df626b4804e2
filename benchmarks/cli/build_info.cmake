# cmake -D SOURCE_DIR=... -D OUTPUT=... -P build_info.cmake: writes the commit that is checked out into a C++ file. Run at
# every build; the file changes only with the answer, so nothing is compiled again without need.
set(commit "unknown")
find_program(GIT git)
if(GIT)
  # A tarball may lie inside somebody else's repository: only a checkout whose top this is can answer.
  execute_process(
    COMMAND "${GIT}" -C "${SOURCE_DIR}" rev-parse --show-prefix
    OUTPUT_VARIABLE prefix
    RESULT_VARIABLE failed
    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(NOT failed AND prefix STREQUAL "")
    execute_process(
      COMMAND "${GIT}" -C "${SOURCE_DIR}" describe --always --dirty --abbrev=12 --exclude=*
      OUTPUT_VARIABLE answer
      RESULT_VARIABLE failed
      OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    if(NOT failed AND NOT answer STREQUAL "")
      set(commit "${answer}")
    endif()
  endif()
endif()
set(content
    "#include \"benchmarks/cli/build_info.h\"\n\nnamespace switchyard::bench {\n\nconst char* commit() { return \"${commit}\"; }\n\n}  // namespace switchyard::bench\n"
)
set(before "")
if(EXISTS "${OUTPUT}")
  file(READ "${OUTPUT}" before)
endif()
if(NOT before STREQUAL content)
  file(WRITE "${OUTPUT}" "${content}")
endif()
