#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>

#include "core/posix/syscalls.hpp"
#include "tests/support/require.hpp"
#include "tests/support/shim_fixture.hpp"

namespace {

using locald::posix::UniqueFd;
using locald::testing::ShimTest;

/// Every test has a network namespace of its own for the runtime's: what it makes there ends with it.
class ShimNetDevices : public ShimTest {
protected:
    void SetUp() override {
        LOCALD_REQUIRE(::geteuid() == 0, "root");
        LOCALD_REQUIRE(locald::testing::have_busybox(), "/bin/busybox");
        LOCALD_REQUIRE(::access("/dev/net/tun", R_OK | W_OK) == 0, "/dev/net/tun");
        home_ = locald::posix::open("/proc/self/ns/net", O_RDONLY);
        ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
        control_.reset(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        control6_.reset(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    }
    void TearDown() override {
        EXPECT_EQ(leftovers_soon(), "");
        if (home_) {
            ASSERT_EQ(::setns(home_.get(), CLONE_NEWNET), 0);
        }
    }

    static ifreq request(const std::string& name) {
        ifreq result{};
        name.copy(result.ifr_name, IFNAMSIZ - 1);
        return result;
    }
    /// A tap interface: it lives as long as its namespace, and moves.
    static void make_interface(const std::string& name) {
        const UniqueFd tun = locald::posix::open("/dev/net/tun", O_RDWR);
        auto wanted = request(name);
        wanted.ifr_flags = IFF_TAP | IFF_NO_PI;
        ASSERT_EQ(::ioctl(tun.get(), TUNSETIFF, &wanted), 0) << strerror(errno);
        ASSERT_EQ(::ioctl(tun.get(), TUNSETPERSIST, 1), 0);
    }
    void add_address(const std::string& name, const char* text, const char* mask) const {
        auto wanted = request(name);
        auto* address = reinterpret_cast<sockaddr_in*>(&wanted.ifr_addr);
        address->sin_family = AF_INET;
        ::inet_pton(AF_INET, text, &address->sin_addr);
        ASSERT_EQ(::ioctl(control_.get(), SIOCSIFADDR, &wanted), 0);
        ::inet_pton(AF_INET, mask, &address->sin_addr);
        ASSERT_EQ(::ioctl(control_.get(), SIOCSIFNETMASK, &wanted), 0);
    }
    void add_address6(const std::string& name, const char* text) const {
        in6_ifreq wanted{};
        ::inet_pton(AF_INET6, text, &wanted.ifr6_addr);
        wanted.ifr6_prefixlen = 64;
        wanted.ifr6_ifindex = static_cast<int>(::if_nametoindex(name.c_str()));
        ASSERT_EQ(::ioctl(control6_.get(), SIOCSIFADDR, &wanted), 0) << strerror(errno);
    }
    void set_mtu(const std::string& name, int mtu) const {
        auto wanted = request(name);
        wanted.ifr_mtu = mtu;
        ASSERT_EQ(::ioctl(control_.get(), SIOCSIFMTU, &wanted), 0);
    }
    std::string address(const std::string& name) const {
        auto wanted = request(name);
        if (::ioctl(control_.get(), SIOCGIFADDR, &wanted) != 0) return strerror(errno);
        std::array<char, INET_ADDRSTRLEN> text{};
        const auto* address = reinterpret_cast<const sockaddr_in*>(&wanted.ifr_addr);
        ::inet_ntop(AF_INET, &address->sin_addr, text.data(), text.size());
        return text.data();
    }
    void set_up(const std::string& name) const {
        auto wanted = request(name);
        ASSERT_EQ(::ioctl(control_.get(), SIOCGIFFLAGS, &wanted), 0);
        wanted.ifr_flags |= IFF_UP;
        ASSERT_EQ(::ioctl(control_.get(), SIOCSIFFLAGS, &wanted), 0);
    }
    bool is_up(const std::string& name) const {
        auto wanted = request(name);
        return ::ioctl(control_.get(), SIOCGIFFLAGS, &wanted) == 0 && (wanted.ifr_flags & IFF_UP) != 0;
    }
    static bool exists(const std::string& name) { return ::if_nametoindex(name.c_str()) != 0; }

    UniqueFd home_, control_, control6_;
};

TEST_F(ShimNetDevices, MoveInWithTheirAddressesUnderTheirNewName) {
    make_interface("given0");
    add_address("given0", "192.0.2.7", "255.255.255.192");
    add_address6("given0", "2001:db8::7");
    set_mtu("given0", 1400);
    auto json = config("busybox ip link show eth7; busybox ip addr show eth7; busybox ip route; ls /sys/class/net");
    json["linux"]["netDevices"] = {{"given0", {{"name", "eth7"}}}};
    const auto result = run(json);
    EXPECT_NE(result.out.find("mtu 1400"), std::string::npos) << result.out << result.err;
    EXPECT_NE(result.out.find("UP"), std::string::npos) << result.out;
    EXPECT_NE(result.out.find("inet 192.0.2.7/26"), std::string::npos) << result.out;
    EXPECT_NE(result.out.find("inet6 2001:db8::7/64 scope global"), std::string::npos) << result.out;
    EXPECT_NE(result.out.find("192.0.2.0/26 dev eth7"), std::string::npos) << result.out;
    EXPECT_EQ(result.out.find("given0"), std::string::npos) << result.out;
}

TEST_F(ShimNetDevices, KeepTheirNameOrGetOneOfATemplate) {
    make_interface("given0");
    make_interface("given1");
    auto json = config("ls /sys/class/net");
    json["linux"]["netDevices"] = {{"given0", Json::object()}, {"given1", {{"name", "eth%d"}}}};
    EXPECT_EQ(run(json).out, "eth0\ngiven0\nlo\n");
}

TEST_F(ShimNetDevices, MayBeNamedByASysctl) {
    make_interface("given0");
    auto json = config("cat /proc/sys/net/ipv4/conf/eth0.5/forwarding");
    json["linux"]["netDevices"] = {{"given0", {{"name", "eth0.5"}}}};
    json["linux"]["sysctl"] = {{"net/ipv4/conf/eth0.5/forwarding", "1"}};
    const auto result = run(json);
    EXPECT_EQ(result.out, "1\n") << result.err;
}

TEST_F(ShimNetDevices, ComeBackWhenTheContainerDoesNotStart) {
    make_interface("given0");
    add_address("given0", "192.0.2.7", "255.255.255.0");
    set_up("given0");
    auto json = config("");
    json["process"]["args"] = {"no-such-program"};
    json["linux"]["netDevices"] = {{"given0", {{"name", "eth0"}}}};
    EXPECT_EQ(run(json).code, 127);
    ASSERT_TRUE(exists("given0"));
    EXPECT_EQ(address("given0"), "192.0.2.7");
    EXPECT_TRUE(is_up("given0"));
}

TEST_F(ShimNetDevices, ComeBackWhenAnotherIsMissing) {
    make_interface("given0");
    auto json = config("echo ran");
    json["linux"]["netDevices"] = {{"given0", {{"name", "eth0"}}}, {"missing0", {{"name", "eth1"}}}};
    const auto result = run(json);
    EXPECT_EQ(result.code, 125);
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find("linux.netDevices[\"missing0\"]: move it: No such device"), std::string::npos)
        << result.err;
    EXPECT_TRUE(exists("given0"));
    EXPECT_FALSE(is_up("given0"));
}

TEST_F(ShimNetDevices, MoveIntoAJoinedNamespaceAndStayThere) {
    make_interface("given0");
    make_interface("taken0");
    const UniqueFd ours = locald::posix::open("/proc/self/ns/net", O_RDONLY);
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
    make_interface("eth0");
    const UniqueFd theirs = locald::posix::open("/proc/self/ns/net", O_RDONLY);
    ASSERT_EQ(::setns(ours.get(), CLONE_NEWNET), 0);
    auto json = config("ls /sys/class/net");
    for (auto& ns : json["linux"]["namespaces"]) {
        if (ns["type"] == "network") {
            ns["path"] = "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(theirs.get());
        }
    }
    json["linux"]["netDevices"] = {{"taken0", {{"name", "eth0"}}}};
    const auto refused = run(json);
    EXPECT_EQ(refused.code, 125);
    EXPECT_NE(refused.err.find("an interface \"eth0\" is in the container already: File exists"), std::string::npos)
        << refused.err;
    EXPECT_TRUE(exists("taken0"));
    json["linux"]["netDevices"] = {{"given0", {{"name", "eth1"}}}};
    EXPECT_EQ(run(json).out, "eth0\neth1\nlo\n");
    EXPECT_FALSE(exists("given0"));
    ASSERT_EQ(::setns(theirs.get(), CLONE_NEWNET), 0);
    EXPECT_TRUE(exists("eth1")) << "the namespace's owner decides what becomes of it";
    ASSERT_EQ(::setns(ours.get(), CLONE_NEWNET), 0);
}

TEST_F(ShimNetDevices, HaveNamesThatAnInterfaceCanHave) {
    for (const std::string name : {"", ".", "..", "a/b", "a:b", "a b", "sixteen-letters-", "eth%s", "%d%d"}) {
        auto json = config("echo ran");
        json["linux"]["netDevices"] = {{"given0", {{"name", name}}}};
        if (name.empty()) json["linux"]["netDevices"] = {{name, Json::object()}};
        const auto result = run(json);
        EXPECT_EQ(result.code, 125) << name;
        EXPECT_NE(result.err.find("invalid network device name \"" + name + "\""), std::string::npos) << result.err;
        EXPECT_NE(result.err.find("linux.netDevices[\""), std::string::npos) << result.err;
    }
    auto json = config("echo ran");
    json["linux"]["netDevices"] = {{"a0", {{"name", "eth0"}}}, {"b0", {{"name", "eth0"}}}};
    EXPECT_NE(run(json).err.find("two interfaces would be \"eth0\""), std::string::npos);
    json["linux"]["namespaces"].erase(1);
    EXPECT_NE(run(json).err.find("unable to move network devices without a NET namespace"), std::string::npos);
}

TEST_F(ShimNetDevices, CannotBeTheLoopback) {
    auto json = config("echo ran");
    json["linux"]["netDevices"] = {{"lo", {{"name", "lo1"}}}};
    const auto result = run(json);
    EXPECT_NE(result.err.find("linux.netDevices[\"lo\"]: move it: Invalid argument"), std::string::npos) << result.err;
    EXPECT_EQ(result.out, "");
}

}  // namespace
