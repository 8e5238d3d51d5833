set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(locald_lane linux-musl-arm64)
include(${CMAKE_CURRENT_LIST_DIR}/linux-musl.cmake)
