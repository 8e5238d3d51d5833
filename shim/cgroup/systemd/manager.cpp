#include "shim/cgroup/systemd/manager.hpp"

#include <cstdlib>

#include "core/base/error.hpp"

namespace locald::shim {

namespace {

constexpr const char* service = "org.freedesktop.systemd1";
constexpr const char* manager_interface = "org.freedesktop.systemd1.Manager";
constexpr std::chrono::seconds most_waiting{30};

DbusClient::Clock::time_point deadline() { return DbusClient::Clock::now() + most_waiting; }

struct Socket {
    std::string path;
    bool bus;
};

std::vector<Socket> sockets_of(bool system) {
    if (system) return {{"/run/systemd/private", false}, {"/run/dbus/system_bus_socket", true}};
    std::vector<Socket> list;
    const char* runtime = std::getenv("XDG_RUNTIME_DIR");
    if (runtime != nullptr && runtime[0] == '/') list.push_back({std::string(runtime) + "/systemd/private", false});
    const char* address = std::getenv("DBUS_SESSION_BUS_ADDRESS");
    constexpr std::string_view unix_path = "unix:path=";
    if (address != nullptr && std::string_view(address).starts_with(unix_path)) {
        const std::string path = std::string(address).substr(unix_path.size());
        list.push_back({path.substr(0, path.find_first_of(",;")), true});
    }
    if (runtime != nullptr && runtime[0] == '/') list.push_back({std::string(runtime) + "/bus", true});
    return list;
}

DbusValue property_list(const UnitProperties& properties) {
    std::vector<DbusValue> items;
    for (const auto& [name, value] : properties) {
        items.push_back(DbusValue::tuple({DbusValue::string(name), DbusValue::variant(value)}));
    }
    return DbusValue::array("(sv)", std::move(items));
}

DbusValue strings(std::vector<std::string> texts) {
    std::vector<DbusValue> items;
    for (auto& text : texts) items.push_back(DbusValue::string(std::move(text)));
    return DbusValue::array("s", std::move(items));
}

}  // namespace

SystemdManager SystemdManager::connect(bool system) {
    std::string tried;
    for (const auto& socket : sockets_of(system)) {
        DbusClient client = DbusClient::connect(socket.path, socket.bus);
        if (client) return SystemdManager(std::move(client));
        tried += (tried.empty() ? "" : ", ") + socket.path;
    }
    throw Error(ErrorKind::unavailable, std::string("connect to the systemd of the ") + (system ? "system" : "user") +
                                            ": nobody listens at " + (tried.empty() ? "$XDG_RUNTIME_DIR" : tried))
        .with_remedy(system ? "leave --systemd-cgroup out on a host without systemd"
                            : "start from a login session (XDG_RUNTIME_DIR), or leave --systemd-cgroup out");
}

DbusMessage SystemdManager::manager_call(const char* member, std::vector<DbusValue> body) {
    DbusMessage message;
    message.destination = service;
    message.path = "/org/freedesktop/systemd1";
    message.interface = manager_interface;
    message.member = member;
    message.body = std::move(body);
    return message;
}

/// On a bus signals come to those who asked; the manager's own socket sends them to everybody.
void SystemdManager::listen() {
    if (listening_ || !client_.is_bus()) return;
    DbusMessage match;
    match.destination = match.interface = "org.freedesktop.DBus";
    match.path = "/org/freedesktop/DBus";
    match.member = "AddMatch";
    match.body = {DbusValue::string(std::string("type='signal',interface='") + manager_interface +
                                    "',member='JobRemoved',path='/org/freedesktop/systemd1'")};
    const auto first = client_.send(match);
    const auto second = client_.send(manager_call("Subscribe", {}));
    static_cast<void>(client_.answer(first, deadline()));
    static_cast<void>(client_.answer(second, deadline()));
    listening_ = true;
}

/// @returns the job's result: done, failed, timeout, …
std::string SystemdManager::wait_for_job(const std::string& job) {
    const auto removed = client_.wait_for_signal(
        [&](const DbusMessage& message) {
            return message.member == "JobRemoved" && message.body.size() == 4 && message.body[1].text == job;
        },
        deadline());
    return removed.body[3].text;
}

DbusMessage SystemdManager::start_once(const SystemdScope& scope, const UnitProperties& properties) {
    return client_.call(
        manager_call("StartTransientUnit", {DbusValue::string(scope.unit), DbusValue::string("replace"),
                                            property_list(properties), DbusValue::array("(sa(sv))", {})}),
        deadline());
}

void SystemdManager::start(const SystemdScope& scope, pid_t pid, const UnitProperties& properties) {
    UnitProperties all{{"Description", DbusValue::string("container " + scope.unit)},
                       {"Delegate", DbusValue::boolean(true)},
                       {"DefaultDependencies", DbusValue::boolean(false)}};
    if (scope.is_slice()) {
        all.emplace_back("Wants", strings({scope.slice}));
    } else {
        all.emplace_back("Slice", DbusValue::string(scope.slice));
        all.emplace_back("PIDs", DbusValue::array("u", {DbusValue::u32(static_cast<std::uint32_t>(pid))}));
        all.emplace_back("CollectMode", DbusValue::string("inactive-or-failed"));
    }
    all.insert(all.end(), properties.begin(), properties.end());
    const auto fail = [&](Error error) {
        error.add_context("start the systemd unit " + scope.unit);
        throw error;
    };
    try {
        listen();
        DbusMessage reply;
        try {
            reply = start_once(scope, all);
        } catch (const Error& e) {
            if (dbus_error_name(e.message()) != "org.freedesktop.systemd1.UnitExists") throw;
            // Perhaps it has failed and is only remembered.
            const auto reset = client_.send(manager_call("ResetFailedUnit", {DbusValue::string(scope.unit)}));
            try {
                static_cast<void>(client_.answer(reset, deadline()));
                reply = start_once(scope, all);
            } catch (const Error& again) {
                throw Error(ErrorKind::exists, again.message())
                    .with_remedy("give another linux.cgroupsPath, or stop the unit: systemctl stop " + scope.unit);
            }
        }
        const std::string result = wait_for_job(reply.body.empty() ? "" : reply.body.front().text);
        if (result != "done") throw Error(ErrorKind::system, "its job ended as " + result);
    } catch (const Error& e) {
        fail(e);
    }
}

void SystemdManager::stop(const std::string& unit) {
    listen();
    const auto kill = client_.send(
        manager_call("KillUnit", {DbusValue::string(unit), DbusValue::string("all"), DbusValue{"i", 9, {}, {}}}));
    const auto stop = client_.send(manager_call("StopUnit", {DbusValue::string(unit), DbusValue::string("replace")}));
    try {
        static_cast<void>(client_.answer(kill, deadline()));
    } catch (const Error& e) {
        if (dbus_error_name(e.message()).empty()) throw;  // nothing to kill, or no such unit
    }
    try {
        const DbusMessage reply = client_.answer(stop, deadline());
        static_cast<void>(wait_for_job(reply.body.empty() ? "" : reply.body.front().text));
    } catch (const Error& e) {
        if (dbus_error_name(e.message()) != "org.freedesktop.systemd1.NoSuchUnit") {
            Error error = e;
            throw error.add_context("stop the systemd unit " + unit);
        }
    }
}

void SystemdManager::set_properties(const std::string& unit, const UnitProperties& properties) {
    if (properties.empty()) return;
    try {
        static_cast<void>(
            client_.call(manager_call("SetUnitProperties",
                                      {DbusValue::string(unit), DbusValue::boolean(true), property_list(properties)}),
                         deadline()));
    } catch (const Error& e) {
        Error error = e;
        throw error.add_context("change the systemd unit " + unit);
    }
}

}  // namespace locald::shim
