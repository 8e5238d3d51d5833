#include "shim/container/state.hpp"

#include "core/base/text.hpp"
#include "shim/verbs/verbs.hpp"

namespace locald::shim {

namespace {

int show_state(const Globals& globals, Walker& walker) {
    for (std::string name; walker.next_option(name);) walker.unknown();
    walker.need_exactly(1);
    const std::string& id = walker.arguments()[0];
    check_container_id(id);
    print(oci::to_json(state_now(find_state(globals.root, id))) + "\n");
    return 0;
}

}  // namespace

const Verb state_verb{"state",
                      "  state ID                           print the container's state as JSON\n",
                      "Usage: locald-shim [OPTION...] state ID\n"
                      "\n"
                      "Prints ociVersion, id, pid, status, bundle, rootfs, created, annotations and owner as JSON.\n",
                      show_state,
                      2,
                      true};

}  // namespace locald::shim
