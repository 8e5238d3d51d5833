#include "shim/namespaces/net_devices.hpp"

#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <set>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/namespaces/netlink.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

using Device = MovedNetDevices::Device;
using Address = MovedNetDevices::Address;

/// As the kernel's dev_valid_name has it, and at most one number to fill in where `template_allowed`.
bool is_interface_name(const std::string& name, bool template_allowed) {
    if (name.empty() || name.size() >= IFNAMSIZ || name == "." || name == "..") return false;
    const bool odd = std::any_of(name.begin(), name.end(), [](char c) {
        return c == '/' || c == ':' || c == ' ' || (c >= '\t' && c <= '\r') || c == '\0';
    });
    if (odd) return false;
    const auto percent = name.find('%');
    if (percent == std::string::npos) return true;
    return template_allowed && name.find('%', percent + 1) == std::string::npos && name.compare(percent, 2, "%d") == 0;
}

std::string place(const std::string& name) { return "linux.netDevices[" + json_quote(name) + "]"; }

[[noreturn]] void fail(int err, const std::string& name, const std::string& what) {
    Error error(kind_of_errno(err), place(name) + ": " + what + ": " + errno_text(err), err);
    if (err == ENODEV) error.with_remedy("no interface of this name is in the runtime's network namespace");
    if (err == EPERM) error.with_remedy("moving an interface takes CAP_NET_ADMIN in both network namespaces");
    if (err == EEXIST) error.with_remedy("choose another name, or a template such as eth%d");
    if (err == EINVAL) error.with_remedy("some interfaces, such as lo and bridges, are bound to their namespace");
    throw error;
}

struct Link {
    int index = 0;
    bool up = false;
};

ifinfomsg link_header(int index) {
    ifinfomsg header{};
    header.ifi_family = AF_UNSPEC;
    header.ifi_index = index;
    return header;
}

/// Nothing when there is no interface of that name.
std::optional<Link> find_link(Netlink& netlink, const std::string& name) {
    NetlinkMessage request(RTM_GETLINK, 0, link_header(0));
    request.put_text(IFLA_IFNAME, name);
    std::optional<Link> found;
    const int err = netlink.call(request, "look for interface " + name, [&](const nlmsghdr& message) {
        if (const auto info = fixed_part<ifinfomsg>(message))
            found = Link{info->ifi_index, (info->ifi_flags & IFF_UP) != 0};
    });
    if (err != 0 && err != ENODEV) fail(err, name, "look for it");
    return found;
}

/// The permanent addresses of global scope: those that were given and not made by the kernel.
std::vector<Address> addresses_of(Netlink& netlink, int index, const std::string& name) {
    std::vector<Address> addresses;
    const NetlinkMessage request(RTM_GETADDR, NLM_F_DUMP, ifaddrmsg{});
    const int err = netlink.call(request, "list addresses of " + name, [&](const nlmsghdr& message) {
        const auto fixed = fixed_part<ifaddrmsg>(message);
        if (message.nlmsg_type != RTM_NEWADDR || !fixed || static_cast<int>(fixed->ifa_index) != index) return;
        ifaddrmsg info = *fixed;
        Address address;
        std::uint32_t flags = info.ifa_flags;
        for_each_attribute(message, sizeof info, [&](std::uint16_t type, std::string_view bytes) {
            if (type == IFA_FLAGS && bytes.size() == sizeof flags) std::memcpy(&flags, bytes.data(), sizeof flags);
            // The label would repeat the interface's old name; what else there is the kernel makes anew.
            if (type != IFA_LOCAL && type != IFA_ADDRESS && type != IFA_BROADCAST && type != IFA_RT_PRIORITY) return;
            address.attributes.emplace_back(type, bytes);
        });
        if ((flags & IFA_F_PERMANENT) == 0 || info.ifa_scope != RT_SCOPE_UNIVERSE) return;
        flags &= static_cast<std::uint32_t>(IFA_F_NODAD | IFA_F_NOPREFIXROUTE | IFA_F_HOMEADDRESS |
                                            IFA_F_MANAGETEMPADDR | IFA_F_MCAUTOJOIN);
        address.attributes.emplace_back(IFA_FLAGS, std::string(reinterpret_cast<const char*>(&flags), sizeof flags));
        info.ifa_flags = 0;
        address.fixed.assign(reinterpret_cast<const char*>(&info), sizeof info);
        addresses.push_back(std::move(address));
    });
    if (err != 0) fail(err, name, "list its addresses");
    return addresses;
}

void set_up(Netlink& netlink, int index, bool up, const std::string& name) {
    ifinfomsg header = link_header(index);
    header.ifi_flags = up ? IFF_UP : 0;
    header.ifi_change = IFF_UP;
    const int err = netlink.call(NetlinkMessage(RTM_NEWLINK, 0, header), "set interface " + name);
    if (err != 0) fail(err, name, up ? "set it up" : "set it down");
}

void add_addresses(Netlink& netlink, const Device& device, int index) {
    for (const auto& address : device.addresses) {
        ifaddrmsg info{};
        std::memcpy(&info, address.fixed.data(), sizeof info);
        info.ifa_index = static_cast<unsigned>(index);
        NetlinkMessage request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, info);
        for (const auto& [type, bytes] : address.attributes) request.put(type, bytes);
        const int err = netlink.call(request, "add an address to " + device.name);
        if (err != 0) fail(err, device.name, "give it its address again");
    }
}

/// One request: move and rename. The interface number may change with the namespace.
int change_namespace(Netlink& netlink, int index, const std::string& name, const UniqueFd& target) {
    NetlinkMessage request(RTM_NEWLINK, 0, link_header(index));
    request.put_text(IFLA_IFNAME, name);
    request.put_u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(target.get()));
    return netlink.call(request, "move interface " + name);
}

/// The interfaces of a namespace: number and name.
std::set<int> link_numbers(Netlink& netlink) {
    std::set<int> numbers;
    netlink.call(NetlinkMessage(RTM_GETLINK, NLM_F_DUMP, link_header(0)), "list interfaces",
                 [&](const nlmsghdr& message) {
                     if (const auto info = fixed_part<ifinfomsg>(message)) numbers.insert(info->ifi_index);
                 });
    return numbers;
}

}  // namespace

void check_net_devices(const oci::Linux& config) {
    if (config.net_devices.empty()) return;
    const bool network = std::any_of(config.namespaces.begin(), config.namespaces.end(),
                                     [](const auto& ns) { return ns.type == "network"; });
    if (!network) {
        throw Error(ErrorKind::invalid, "linux.netDevices: unable to move network devices without a NET namespace");
    }
    std::set<std::string> taken;
    for (const auto& [name, device] : config.net_devices) {
        if (!is_interface_name(name, false)) {
            throw Error(ErrorKind::invalid, place(name) + ": invalid network device name " + json_quote(name));
        }
        const std::string& inside = device.name.empty() ? name : device.name;
        if (!is_interface_name(inside, true)) {
            throw Error(ErrorKind::invalid, place(name) + ".name: invalid network device name " + json_quote(inside));
        }
        if (inside.find('%') == std::string::npos && !taken.insert(inside).second) {
            throw Error(ErrorKind::invalid, place(name) + ".name: two interfaces would be " + json_quote(inside));
        }
    }
}

void MovedNetDevices::move(const oci::Linux& config, UniqueFd network_namespace) {
    if (config.net_devices.empty()) return;
    namespace_ = std::move(network_namespace);
    try {
        Netlink here;
        Netlink there = in_step("linux.netDevices", [&] { return Netlink(namespace_); });
        for (const auto& [name, wanted] : config.net_devices) {
            const std::string& inside = wanted.name.empty() ? name : wanted.name;
            const auto link = find_link(here, name);
            if (!link) fail(ENODEV, name, "move it");
            // The kernel moves first and renames then: a name that is taken would be found out too late.
            if (inside.find('%') == std::string::npos && find_link(there, inside)) {
                fail(EEXIST, name, "move it: an interface " + json_quote(inside) + " is in the container already");
            }
            Device device{name, link->index, link->up, addresses_of(here, link->index, name)};
            const auto before = link_numbers(there);
            if (link->up) set_up(here, link->index, false, name);
            const int err = change_namespace(here, link->index, inside, namespace_);
            if (err != 0) {
                if (link->up) set_up(here, link->index, true, name);
                fail(err, name, "move it");
            }
            // A template's name is the kernel's choice, and the number may be another one: what is new is it.
            for (const int number : link_numbers(there)) {
                if (!before.contains(number)) device.index = number;
            }
            moved_.push_back(std::move(device));
            add_addresses(there, moved_.back(), moved_.back().index);
            set_up(there, moved_.back().index, true, name);
        }
    } catch (const Error&) {
        restore();
        throw;
    }
}

void MovedNetDevices::restore() noexcept {
    while (!moved_.empty()) {
        const Device device = std::move(moved_.back());
        moved_.pop_back();
        try {
            Netlink here;
            Netlink there(namespace_);
            const UniqueFd home = posix::open("/proc/self/ns/net", O_RDONLY);
            set_up(there, device.index, false, device.name);
            if (change_namespace(there, device.index, device.name, home) != 0) continue;
            const auto link = find_link(here, device.name);
            if (!link) continue;
            add_addresses(here, device, link->index);
            if (device.up) set_up(here, link->index, true, device.name);
        } catch (const std::exception&) {
            // The error that led here is the one to tell.
        }
    }
    namespace_.reset();
}

void MovedNetDevices::keep() noexcept {
    moved_.clear();
    namespace_.reset();
}

UniqueFd open_network_namespace(int pid, const UniqueFd* joined) {
    if (joined != nullptr) return UniqueFd(::fcntl(joined->get(), F_DUPFD_CLOEXEC, 3));
    return posix::open("/proc/" + std::to_string(pid) + "/ns/net", O_RDONLY);
}

}  // namespace locald::shim
