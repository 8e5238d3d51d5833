#include "shim/namespaces/netlink.hpp"

#include <gmock/gmock.h>
#include <linux/rtnetlink.h>

#include <cerrno>
#include <vector>

namespace locald::shim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// A datagram, in memory of just its size.
class Datagram {
public:
    Datagram& add(std::uint16_t type, std::uint32_t sequence, std::string_view payload, std::uint32_t claimed = 0) {
        nlmsghdr header{};
        header.nlmsg_len = claimed != 0 ? claimed : static_cast<std::uint32_t>(NLMSG_HDRLEN + payload.size());
        header.nlmsg_type = type;
        header.nlmsg_seq = sequence;
        bytes_.append(reinterpret_cast<const char*>(&header), sizeof header).append(payload);
        bytes_.resize(NLMSG_ALIGN(bytes_.size()), '\0');
        return *this;
    }
    std::optional<int> read() {
        const std::vector<char> exact(bytes_.begin(), bytes_.end());
        return read_answer({exact.data(), exact.size()}, 1, [&](const nlmsghdr& part) {
            types.push_back(part.nlmsg_type);
            links += fixed_part<ifinfomsg>(part).has_value() ? 1 : 0;
        });
    }
    std::vector<int> types;
    int links = 0;

private:
    std::string bytes_;
};

std::string error_payload(int error) {
    nlmsgerr payload{};
    payload.error = -error;
    return {reinterpret_cast<const char*>(&payload), sizeof payload};
}

TEST(Netlink, ReadsUpToTheEndOfTheAnswer) {
    Datagram more;
    more.add(RTM_NEWLINK, 1, std::string(sizeof(ifinfomsg), '\0')).add(RTM_NEWLINK, 2, "").add(RTM_NEWADDR, 1, "abc");
    EXPECT_EQ(more.read(), std::nullopt);
    EXPECT_THAT(more.types, ElementsAre(RTM_NEWLINK, RTM_NEWADDR));
    EXPECT_EQ(more.links, 1);
    EXPECT_EQ(Datagram().add(NLMSG_DONE, 1, "").read(), 0);
    EXPECT_EQ(Datagram().add(NLMSG_ERROR, 1, error_payload(EPERM)).read(), EPERM);
    EXPECT_EQ(Datagram().add(NLMSG_ERROR, 7, error_payload(EPERM)).read(), std::nullopt);
}

TEST(Netlink, ReadsNothingBehindAMessage) {
    EXPECT_EQ(Datagram().add(NLMSG_ERROR, 1, "").read(), EBADMSG);
    Datagram lies;
    lies.add(RTM_NEWLINK, 1, "", 4096);
    EXPECT_EQ(lies.read(), std::nullopt);
    EXPECT_THAT(lies.types, IsEmpty());
    EXPECT_EQ(Datagram().add(NLMSG_DONE, 1, "", 3).read(), std::nullopt);
    Datagram brief;
    brief.add(RTM_NEWLINK, 1, "ab");
    brief.read();
    EXPECT_EQ(brief.links, 0);
}

}  // namespace
}  // namespace locald::shim
