#include "shim/container/policy.hpp"

#include "shim/verbs/verbs.hpp"

namespace locald::shim {

namespace {

int show_policy(const Globals&, Walker& walker) {
    for (std::string name; walker.next_option(name);) walker.unknown();
    walker.need_exactly(0);
    print(policy_json() + "\n");
    return 0;
}

}  // namespace

const Verb policy_verb{
    "policy", "  policy                             print what /etc/locald/shim.conf says, as JSON\n",
    "Usage: locald-shim policy\n"
    "\n"
    "Reads /etc/locald/shim.conf as a setuid start does, and prints what holds: of a file that is not there the\n"
    "defaults. A start is refused where this fails. `containers` is kept by cgroup version 2 alone.\n",
    show_policy};

}  // namespace locald::shim
