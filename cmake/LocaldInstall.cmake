# cmake --install: the programs, the headers and the CMake package `locald-runtime`.
include(CMakePackageConfigHelpers)

get_property(libraries GLOBAL PROPERTY LOCALD_LIBRARIES)
install(TARGETS ${libraries} EXPORT locald-runtime ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS locald RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
if(LOCALD_BACKEND_LINUX)
  install(TARGETS locald-shim RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(
  DIRECTORY ${PROJECT_SOURCE_DIR}/core
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/locald-runtime
  FILES_MATCHING
  PATTERN "*.hpp"
  PATTERN "json_*.hpp" EXCLUDE)
install(DIRECTORY ${PROJECT_BINARY_DIR}/generated/core DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/locald-runtime)
install(
  EXPORT locald-runtime
  NAMESPACE locald::
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/locald-runtime
  FILE locald-runtime-targets.cmake)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/locald-runtime-config.cmake.in
                              ${PROJECT_BINARY_DIR}/locald-runtime-config.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/locald-runtime)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/locald-runtime-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/locald-runtime-config.cmake
              ${PROJECT_BINARY_DIR}/locald-runtime-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/locald-runtime)

# What is put on other hosts, as far as tools/cross-build has made it: looked for beside the program that runs.
if(LOCALD_BACKEND_SSH AND NOT LOCALD_STATIC)
  set(LOCALD_GUEST_PAIRS ${PROJECT_SOURCE_DIR}/build/guestbin CACHE PATH "Where tools/cross-build has put its pairs")
  file(MAKE_DIRECTORY ${LOCALD_GUEST_PAIRS} ${PROJECT_BINARY_DIR}/lib/locald)
  file(CREATE_LINK ${LOCALD_GUEST_PAIRS} ${PROJECT_BINARY_DIR}/lib/locald/guest SYMBOLIC)
  install(DIRECTORY ${LOCALD_GUEST_PAIRS}/ DESTINATION lib/locald/guest USE_SOURCE_PERMISSIONS)
endif()
