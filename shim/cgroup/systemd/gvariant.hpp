#pragma once

#include <string_view>

#include "shim/cgroup/systemd/dbus_wire.hpp"

namespace locald::shim {

/// A value in GVariant's text form, as the annotations org.systemd.property.* have it: `true`, `uint64 100`, `'text'`,
/// `["a", "b"]`, `@as []`, `('a', 1)`, `{'k': <1>}`, `b'bytes'`. A number without a type is an int32, one with a point
/// a double. @throws Error(invalid) that says where it ends to be one
DbusValue parse_gvariant(std::string_view text);

}  // namespace locald::shim
