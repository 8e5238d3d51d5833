#pragma once

#include <libssh2.h>

#include "backends/ssh/opening.hpp"
#include "backends/ssh/session.hpp"

namespace locald::backends {

/// By the keys of ssh-agent where it is to be asked, then by those of files.
/// @throws Error(denied) that names each key, Error(unavailable) when the server is gone
void log_in(LIBSSH2_SESSION* session, Opening& opening, const Login& login);

}  // namespace locald::backends
