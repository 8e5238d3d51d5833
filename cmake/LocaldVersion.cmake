# version.hpp: the product's number and the commit it was built from.
find_package(Git QUIET)
set(LOCALD_COMMIT unknown)
if(GIT_FOUND)
  execute_process(
    COMMAND ${GIT_EXECUTABLE} -C ${PROJECT_SOURCE_DIR} rev-parse --short=12 HEAD
    OUTPUT_VARIABLE commit
    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET
    RESULT_VARIABLE failed)
  if(NOT failed)
    set(LOCALD_COMMIT ${commit})
  endif()
endif()
configure_file(${PROJECT_SOURCE_DIR}/core/base/version.hpp.in ${PROJECT_BINARY_DIR}/generated/core/base/version.hpp)
