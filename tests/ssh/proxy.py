"""A way to a server that counts what goes over, slows it down, or cuts it."""

import selectors
import socket
import threading
import time


class Proxy:
    """Listens on a port of loopback and hands on to another. Each connection is counted by itself."""

    def __init__(self, port):
        self.target = port
        self.sent = []  # bytes to the server, by connection
        self.received = []
        self.cut_after = None  # bytes to the server; then the connection is closed hard
        self.slow = {}  # number of the connection: bytes a second to the server
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # else accept() goes on with it
        self.listener.close()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.sent.append(0)
            self.received.append(0)
            threading.Thread(target=self.carry, args=(client, len(self.sent) - 1), daemon=True).start()

    def carry(self, client, number):
        try:
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            client.close()
            return
        with client, server, selectors.DefaultSelector() as both:
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                both.register(one, selectors.EVENT_READ)
            while True:
                for key, _ in both.select():
                    if not self.hand_on(key.fileobj, client, server, number):
                        return

    def hand_on(self, source, client, server, number):
        try:
            data = source.recv(65536)
            if not data:
                return False
            if source is server:
                client.sendall(data)
                self.received[number] += len(data)
                return True
            server.sendall(data)
            self.sent[number] += len(data)
            if number in self.slow:
                time.sleep(len(data) / self.slow[number])
            return self.cut_after is None or self.sent[number] < self.cut_after
        except OSError:
            return False
