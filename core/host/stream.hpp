#pragma once

#include <functional>
#include <string_view>

namespace locald::host {

/// Hands what comes from a handle to `take`, block by block, until its end. A terminal whose other side is gone (EIO)
/// has ended too.
void read_to_end(int handle, const std::function<void(std::string_view)>& take);

/// Writes all of `bytes`. @throws Error(unavailable) when nobody reads any more
void write_all(int handle, std::string_view bytes);

}  // namespace locald::host
