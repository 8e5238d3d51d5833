"""A TCP proxy in front of a server that numbers what it hands on, and does one deed at a number."""

import collections
import selectors
import socket
import threading
import time

#: What can become of a link. Each is done in place of handing on the chunk that was chosen.
#: cut: both ends are closed. stall: nothing is handed on any more. up, down: nothing in that direction, as when one
#: side is gone without a word. drop: this chunk is left out. flip: one bit of it is another. split: it comes in two
#: halves, and late.
DEEDS = ("cut", "stall", "up", "down", "drop", "flip", "split")


#: Few enough that messages of the key exchange come in several, so that faults fall into them too.
CHUNK_MOST = 512


class FaultProxy:
    """Listens on loopback. Chunks are counted from 1, those of both directions and all connections together."""

    def __init__(self, target_port, at=0, deed="", every=None):
        self.target = ("127.0.0.1", target_port)
        self.at, self.deed = at, deed
        self.every = every or (lambda number, upstream_port: None)  # called before each chunk
        self.passed = 0
        self.deaf = set()  # directions
        self.refuses = False  # new connections
        self.pairs = {}  # socket → its other end
        self.upstream = set()
        self.todo = collections.deque()
        self.selector = selectors.DefaultSelector()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.wake, self.waker = socket.socketpair()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.selector.register(self.wake, selectors.EVENT_READ)
        self.ends = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.ends:
            for key, _ in self.selector.select():
                if key.fileobj is self.wake:
                    self.wake.recv(1)
                    while self.todo:
                        self.todo.popleft()()
                elif key.fileobj is self.listener:
                    self.accept()
                elif key.fileobj in self.pairs:
                    self.hand_on(key.fileobj)

    def accept(self):
        client, _ = self.listener.accept()
        if self.refuses:
            client.close()
            return
        try:
            server = socket.create_connection(self.target)
        except OSError:
            client.close()
            return
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pairs[client], self.pairs[server] = server, client
        self.upstream.add(server)
        for one in (client, server):
            self.selector.register(one, selectors.EVENT_READ)

    def hand_on(self, source):
        try:
            data = source.recv(CHUNK_MOST)
        except OSError:
            data = b""
        direction = "down" if source in self.upstream else "up"
        if not data:
            if direction not in self.deaf:
                self.drop_pair(source)
            else:
                self.selector.unregister(source)  # an end that does not get through either
            return
        self.passed += 1
        upstream = source if direction == "down" else self.pairs[source]
        self.every(self.passed, upstream.getsockname()[1])
        if self.passed == self.at and self.deed:
            data = self.do(source, data)
        if data and direction not in self.deaf:
            self.send(source, data)

    def send(self, source, data):
        try:
            self.pairs[source].sendall(data)
        except (OSError, KeyError):
            self.drop_pair(source)

    def do(self, source, data):
        if self.deed == "cut":
            self.drop_pair(source)
        elif self.deed == "stall":
            self.deaf = {"up", "down"}
        elif self.deed in ("up", "down"):
            self.deaf = {self.deed}
        elif self.deed == "flip":
            return bytes([data[0] ^ 1]) + data[1:]
        elif self.deed == "split":
            self.send(source, data[: len(data) // 2])
            time.sleep(0.2)
            return data[len(data) // 2:]
        return b""

    def drop_pair(self, source):
        for one in (source, self.pairs.pop(source, None)):
            if one is not None:
                self.pairs.pop(one, None)
                self.upstream.discard(one)
                try:
                    self.selector.unregister(one)
                except KeyError:
                    pass
                one.close()

    def heal(self):
        """What comes from now on is handed on as if nothing were."""
        self.deaf, self.deed = set(), ""

    def cut_all(self):
        """Cuts what is connected now."""
        self.later(lambda: [self.drop_pair(one) for one in list(self.upstream)])

    def later(self, what):
        """In the proxy's own thread, which is where its sockets are used."""
        self.todo.append(what)
        self.waker.send(b"x")

    def close(self):
        self.ends = True
        self.waker.send(b"x")
        self.thread.join()
        for one in [*self.pairs, self.listener, self.wake, self.waker]:
            one.close()
        self.selector.close()
