#include "shim/container/features.hpp"

#include "shim/verbs/verbs.hpp"

namespace locald::shim {

namespace {

int show_features(const Globals&, Walker& walker) {
    for (std::string name; walker.next_option(name);) walker.unknown();
    walker.need_exactly(0);
    print(features_json());
    return 0;
}

}  // namespace

const Verb features_verb{
    "features", "  features                           print what this runtime can do, as JSON\n",
    "Usage: locald-shim features\n"
    "\n"
    "Prints what this runtime was built to do, in the form of the runtime specification's features document.\n",
    show_features};

}  // namespace locald::shim
