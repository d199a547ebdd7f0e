"""A relay on 127.0.0.1 that holds back what passes it, both ways: a link with a round trip of so many seconds."""
import selectors, socket, threading, time


class Relay(threading.Thread):
    def __init__(self, target, round_trip):
        super().__init__(daemon=True)
        self.target, self.delay = target, round_trip / 2
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.waiting = []  # (when it is due, socket, bytes), in order
        self.start()

    def run(self):
        while True:
            now = time.monotonic()
            while self.waiting and self.waiting[0][0] <= now:
                self.deliver(*self.waiting.pop(0)[1:])
            timeout = max(self.waiting[0][0] - now, 0) if self.waiting else None
            for key, _ in self.selector.select(timeout):
                self.take(key.fileobj, key.data)

    def take(self, source, other):
        if source is self.listener:
            near, _ = self.listener.accept()
            far = socket.create_connection(('127.0.0.1', self.target))
            for one, two in ((near, far), (far, near)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.selector.register(one, selectors.EVENT_READ, two)
            return
        try:
            data = source.recv(1 << 18)
        except OSError:
            data = b''
        if not data:
            self.selector.unregister(source)
        self.waiting.append((time.monotonic() + self.delay, other, data))

    @staticmethod
    def deliver(to, data):
        try:
            if data:
                to.sendall(data)
            else:
                to.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it is gone
