"""Kubernetes' Container Runtime Interface as a kubelet speaks it: gRPC over a socket, spoken by curl, and the few messages of
runtime.v1 that the tests need. A message is a dict from field number to value: int, str, bytes, dict, or a list of these."""

import subprocess


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def encode(message):
    out = b""
    for field, value in message.items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, int):
                out += varint(field << 3) + varint(each & 0xFFFFFFFFFFFFFFFF)
                continue
            data = encode(each) if isinstance(each, dict) else each.encode() if isinstance(each, str) else each
            out += varint(field << 3 | 2) + varint(len(data)) + data
    return out


def take_varint(data, at):
    number = shift = 0
    while True:
        number |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return number, at


def decode(data):
    """Field number → list of values; what is no number stays bytes."""
    message, at = {}, 0
    while at < len(data):
        key, at = take_varint(data, at)
        if key & 7 == 0:
            value, at = take_varint(data, at)
        else:
            size, at = take_varint(data, at) if key & 7 == 2 else (8 if key & 7 == 1 else 4, at)
            value, at = data[at:at + size], at + size
        message.setdefault(key >> 3, []).append(value)
    return message


class Failed(Exception):
    """The server answered a call with an error."""


class Client:
    """One method a call: `client("RunPodSandbox", {…})`."""

    def __init__(self, socket, directory):
        self.socket, self.headers, self.body = socket, directory / "cri-headers", directory / "cri-body"

    def __call__(self, method, message):
        data = encode(message)
        self.body.write_bytes(b"\0" + len(data).to_bytes(4, "big") + data)
        done = subprocess.run(
            ["curl", "-sS", "--max-time", "50", "--http2-prior-knowledge", "--unix-socket", self.socket, "-D", self.headers,
             "-H", "content-type: application/grpc", "-H", "te: trailers", "--data-binary", f"@{self.body}",
             f"http://localhost/runtime.v1.RuntimeService/{method}"], capture_output=True, check=False)
        headers = self.headers.read_text(errors="replace").lower()
        if done.returncode != 0 or "grpc-status: 0" not in headers:
            raise Failed(f"{method}: {headers} {done.stderr.decode(errors='replace')}")
        return decode(done.stdout[5:])
