# A machine whose nvcc came without the rest of the toolkit still builds the host's part: left to itself, the
# configuration goes on and says why there is no device code; asked for device code, it fails and says so.
# Arguments: SOURCE_DIR, WORK_DIR (emptied first), GENERATOR, CXX_COMPILER.
cmake_minimum_required(VERSION 3.22)

function(configure cuda out_result out_text)
  file(REMOVE_RECURSE "${WORK_DIR}")
  execute_process(
    COMMAND
      "${CMAKE_COMMAND}" -S "${SOURCE_DIR}" -B "${WORK_DIR}" -G "${GENERATOR}" "-DCMAKE_CXX_COMPILER=${CXX_COMPILER}"
      -DSWITCHYARD_BUILD_TESTS=OFF -DCMAKE_DISABLE_FIND_PACKAGE_CUDAToolkit=ON "-DSWITCHYARD_CUDA=${cuda}"
    RESULT_VARIABLE result
    OUTPUT_VARIABLE text
    ERROR_VARIABLE text)
  set(${out_result} "${result}" PARENT_SCOPE)
  set(${out_text} "${text}" PARENT_SCOPE)
endfunction()

configure(AUTO result text)
if(NOT result EQUAL 0 OR NOT text MATCHES "Device code: off, ")
  message(FATAL_ERROR "SWITCHYARD_CUDA=AUTO: got ${result}, wanted 0 and the reason for no device code:\n${text}")
endif()
configure(ON result text)
if(result EQUAL 0 OR NOT text MATCHES "SWITCHYARD_CUDA is ON, but ")
  message(FATAL_ERROR "SWITCHYARD_CUDA=ON: got ${result}, wanted a failure and its reason:\n${text}")
endif()
