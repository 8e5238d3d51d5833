#pragma once

namespace locald::shim {

/// Brings up `lo` of the calling thread's network namespace, which is down in a new one.
void bring_loopback_up();
/// The same without an exception; false with errno.
bool try_bring_loopback_up() noexcept;

}  // namespace locald::shim
