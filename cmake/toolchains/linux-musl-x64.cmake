set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(locald_lane linux-musl-x64)
include(${CMAKE_CURRENT_LIST_DIR}/linux-musl.cmake)
