"""TLS over a socket, in large pieces.

Python's own `ssl.SSLSocket` asks the kernel twice for each record of 16 KiB and hands the interpreter's lock over each
time: 132,000 reads for a GiB, where 4,100 do (facts/copy-performance §3). On layers that costs a sixth of the processor
time of a copy, and much more when many connections read at once (docs/performance.md, B2 and B3). So bytes are moved
between the socket and OpenSSL here, 256 KiB at a time; what TLS is, and whether a certificate is good, stays OpenSSL's
business, by a context of the standard library.
"""

import socket
import ssl
import threading

_PIECE = 256 * 1024
_FIRST_PIECE = 16 * 1024
_DECRYPTING = threading.Lock()
"""One connection at a time, for some dozen records: OpenSSL works on each for a few microseconds without the
interpreter's lock, and two dozen threads that take it from each other after each record cost more than the decrypting.
"""


class TlsSocket:
    """A TLS connection with the part of a socket's interface that `wire` uses.

    Reads and writes may be made by two threads at once no more than on the connection of an HTTP/1.1 client: one side
    at a time.

    Args:
        plain: the connected socket; its time-outs count for each piece.
        context: says which certificates are good.
        host: whose certificate it has to be.

    Raises:
        ssl.SSLError: the handshake failed.
        OSError: the network failed.
    """

    def __init__(self, plain: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._plain = plain
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._room = memoryview(bytearray(_FIRST_PIECE))
        self._shake_hands()

    def _shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._fill()
            else:
                self._flush()
                return

    def _fill(self) -> None:
        count = self._plain.recv_into(self._room)
        if not count:
            # Not left to OpenSSL: Python has it take this for a farewell (OP_IGNORE_UNEXPECTED_EOF).
            raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "the connection ended without a farewell")
        self._incoming.write(self._room[:count])
        if count == len(self._room) < _PIECE:
            # Hundreds of connections only ever carry small answers, and shall not take the memory of layers.
            self._room = memoryview(bytearray(2 * count))

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._plain.sendall(self._outgoing.read())

    def recv_into(self, room: memoryview) -> int:
        """Put decrypted bytes into `room`, as many as are there; 0 at the end, if the other side said that it is one.

        Raises:
            ssl.SSLEOFError: the connection ended, and nobody has said that the bytes do (close_notify).
            OSError: the network failed.
        """
        while True:
            with _DECRYPTING:
                count = self._decrypt(room)
            if count is not None:
                return count
            self._flush()
            self._fill()

    def _decrypt(self, room: memoryview) -> int | None:
        """Decrypt what has arrived, as far as there is room; None when more has to arrive first."""
        done = 0
        try:
            while done < len(room):
                count = self._tls.read(len(room) - done, room[done:])
                if not count:
                    return done
                done += int(count)
        except ssl.SSLWantReadError:
            return done or None
        except ssl.SSLZeroReturnError:
            pass
        return done

    def sendall(self, data: bytes | memoryview) -> None:
        """Encrypt and send all of `data`."""
        left = memoryview(data).cast("B")
        while left:
            piece = left[:_PIECE]
            self._tls.write(piece)
            self._flush()
            left = left[_PIECE:]

    @property
    def is_ahead(self) -> bool:
        """Whether bytes have been taken from the socket that nobody has read yet; `fileno` knows nothing of them."""
        return bool(self._incoming.pending or self._tls.pending())

    def fileno(self) -> int:
        """Of the socket below, for those who want to know whether something has arrived."""
        return self._plain.fileno()

    def close(self) -> None:
        """Close the connection, without a farewell: no answer to it would be waited for."""
        self._plain.close()
