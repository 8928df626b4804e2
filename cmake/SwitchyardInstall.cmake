# `cmake --install`: headers, library, command line, and what find_package(Switchyard) reads.
include(CMakePackageConfigHelpers)
set(SWITCHYARD_INSTALL_CMAKEDIR "${CMAKE_INSTALL_LIBDIR}/cmake/Switchyard")

install(
  TARGETS switchyard
  EXPORT SwitchyardTargets
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  INCLUDES
  DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(
  DIRECTORY "${PROJECT_SOURCE_DIR}/include/switchyard"
  DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  FILES_MATCHING
  PATTERN "*.h")
foreach(program switchyard_cli switchyard_mpi_bench)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
  endif()
endforeach()

install(
  EXPORT SwitchyardTargets
  NAMESPACE switchyard::
  DESTINATION "${SWITCHYARD_INSTALL_CMAKEDIR}")
configure_package_config_file(
  "${PROJECT_SOURCE_DIR}/cmake/SwitchyardConfig.cmake.in" "${PROJECT_BINARY_DIR}/SwitchyardConfig.cmake"
  INSTALL_DESTINATION "${SWITCHYARD_INSTALL_CMAKEDIR}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/SwitchyardConfigVersion.cmake"
                                 COMPATIBILITY SameMinorVersion)
install(
  FILES "${PROJECT_BINARY_DIR}/SwitchyardConfig.cmake"
        "${PROJECT_BINARY_DIR}/SwitchyardConfigVersion.cmake"
        # A static library's user links what the library links, so the config finds it the same way.
        "${PROJECT_SOURCE_DIR}/cmake/FindHighway.cmake" "${PROJECT_SOURCE_DIR}/cmake/FindSodium.cmake"
        "${PROJECT_SOURCE_DIR}/cmake/FindUcx.cmake" "${PROJECT_SOURCE_DIR}/cmake/FindVerbs.cmake"
  DESTINATION "${SWITCHYARD_INSTALL_CMAKEDIR}")
