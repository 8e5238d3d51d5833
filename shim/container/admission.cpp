#include "shim/container/admission.hpp"

#include <syslog.h>
#include <unistd.h>

#include <string>

#include "shim/container/refusal.hpp"
#include "shim/start/rights.h"

namespace locald::shim {

namespace {

void tell(const std::string& words) {
    ::openlog("locald-shim", LOG_PID, LOG_AUTHPRIV);
    ::syslog(LOG_WARNING, "refused uid %u: %s", static_cast<unsigned>(::getuid()), words.c_str());
}

}  // namespace

void tell_administrator(const Error& refusal) {
    if (locald_rights.mode == locald_was_setuid && refusal.kind() == ErrorKind::denied) tell(refusal.what());
}

void check_admitted() {
    if (locald_rights.mode != locald_refused) return;
    std::string words =
        locald_rights.members_only != 0 ? members_only(locald_rights.words) : explained(locald_rights.words);
    if (locald_rights.error != 0) words += ": " + errno_text(locald_rights.error);
    words += remedy_for_place(locald_rights.words, locald_rights.error);
    tell(words);
    throw Error(locald_rights.error != 0 ? kind_of_errno(locald_rights.error) : ErrorKind::denied, words,
                locald_rights.error);
}

}  // namespace locald::shim
