#pragma once

namespace locald::shim {

/// Brings up `lo` of the calling thread's network namespace, which is down in a new one.
void bring_loopback_up();

}  // namespace locald::shim
