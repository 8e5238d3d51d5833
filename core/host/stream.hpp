#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

namespace locald::host {

/// Hands what comes from a handle to `take`, block by block, until its end. A terminal whose other side is gone (EIO)
/// has ended too.
void read_to_end(int handle, const std::function<void(std::string_view)>& take);

/// Writes all of `bytes`. @throws Error(unavailable) when nobody reads any more
void write_all(int handle, std::string_view bytes);

/// Hands bytes of a file to a socket without a copy of ours, as many as it takes without waiting.
/// @return how many; 0 behind the end of the file, -1 with errno as write(2) has it
long send_of_file(int socket, int file, std::uint64_t offset, std::size_t size) noexcept;

}  // namespace locald::host
