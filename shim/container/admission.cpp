#include "shim/container/admission.hpp"

#include <syslog.h>
#include <unistd.h>

#include <string>

#include "core/base/error.hpp"
#include "shim/start/rights.h"

namespace locald::shim {

void check_admitted() {
    if (locald_rights.mode != locald_refused) return;
    std::string words = locald_rights.words;
    if (locald_rights.error != 0) words += ": " + errno_text(locald_rights.error);
    ::openlog("locald-shim", LOG_PID, LOG_AUTHPRIV);
    ::syslog(LOG_WARNING, "refused uid %u: %s", static_cast<unsigned>(::getuid()), words.c_str());
    throw Error(locald_rights.error != 0 ? kind_of_errno(locald_rights.error) : ErrorKind::denied, words,
                locald_rights.error);
}

}  // namespace locald::shim
