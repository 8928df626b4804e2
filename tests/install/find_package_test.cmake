# What a user does: install Switchyard, copy an example somewhere, find_package(Switchyard), build, run.
# Arguments: BUILD_DIR (a finished build), EXAMPLES_DIR, WORK_DIR (emptied first), GENERATOR, CXX_COMPILER.
cmake_minimum_required(VERSION 3.22)

file(REMOVE_RECURSE "${WORK_DIR}")
set(prefix "${WORK_DIR}/prefix")

function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ECHO STDOUT COMMAND_ERROR_IS_FATAL ANY)
endfunction()

run("${CMAKE_COMMAND}" --install "${BUILD_DIR}" --prefix "${prefix}")
file(COPY "${EXAMPLES_DIR}/" DESTINATION "${WORK_DIR}/examples")
run("${CMAKE_COMMAND}" -S "${WORK_DIR}/examples" -B "${WORK_DIR}/build" -G "${GENERATOR}"
    "-DCMAKE_CXX_COMPILER=${CXX_COMPILER}" "-DCMAKE_PREFIX_PATH=${prefix}" -DCMAKE_BUILD_TYPE=Release)
run("${CMAKE_COMMAND}" --build "${WORK_DIR}/build" --parallel 2)

file(GLOB sources "${WORK_DIR}/examples/*.cc")
foreach(source IN LISTS sources)
  get_filename_component(name "${source}" NAME_WE)
  run("${WORK_DIR}/build/${name}")
endforeach()
