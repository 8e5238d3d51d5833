#pragma once

#include <sys/types.h>

#include <string>

#include "shim/cgroup/systemd/dbus_client.hpp"
#include "shim/cgroup/systemd/scope.hpp"

namespace locald::shim {

/// systemd as the owner of units: the system's manager, or the user's.
class SystemdManager {
public:
    /// By the manager's own socket, else by the message bus.
    /// @throws Error(unavailable) with the sockets that were tried and the remedy
    static SystemdManager connect(bool system);
    /// Over a connection that stands already.
    explicit SystemdManager(DbusClient client) : client_(std::move(client)) {}

    /// Starts the scope (with `pid` in it) or slice, and waits until it is there. A failed unit of that name is reset
    /// first. @throws Error(exists) when a living one has the name
    void start(const SystemdScope& scope, pid_t pid, const UnitProperties& properties);
    /// Kills what is in the unit and stops it; a unit that is not there is no error.
    void stop(const std::string& unit);
    /// Changes a running unit until the next boot.
    void set_properties(const std::string& unit, const UnitProperties& properties);

private:
    static DbusMessage manager_call(const char* member, std::vector<DbusValue> body);
    void listen();
    DbusMessage start_once(const SystemdScope& scope, const UnitProperties& properties);
    std::string wait_for_job(const std::string& job);

    DbusClient client_;
    bool listening_ = false;
};

}  // namespace locald::shim
