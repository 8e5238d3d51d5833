#pragma once

#include "backends/linux/admin/work.hpp"

namespace locald::backends::admin {

/// Says when the tmpfs on /run/locald is nearly full, which stops every user's starts, and to root who fills it.
void tell_room_of_states(const Work& work);

}  // namespace locald::backends::admin
