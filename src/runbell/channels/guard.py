"""Connections to hosts that members name, such as their dbt platform: never into the network that this server stands in.

A name is asked for once, all that it stands for is checked, and the connection goes to what was checked: an answer that changes
in between changes nothing (DNS rebinding). Forms such as 2130706433 or 0177.1 are read by the resolver, before the check.
https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
"""

import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Resolve = Callable[[str], Iterable[str]]

# Where clouds hand out the keys of a machine to whoever asks: AWS and most others, AWS over IPv6, Alibaba, Azure, Oracle.
METADATA = frozenset(map(ip_address, ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")))
_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))  # RFC 6052, RFC 8215
_THIS_HOST = ip_network("0.0.0.0/8")  # Linux takes 0.0.0.0 for 127.0.0.1


class Forbidden(Exception):
    """The host is, or stands for, an address where nothing of ours goes. Says which kind alone: the address is nobody's business."""


def addresses(host: str) -> list[str]:
    """What a name stands for, by this machine's resolver. Raises `OSError`."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(frozen=True, slots=True)
class Guard:
    """`allows_private`: for installations whose dbt platform, or a stand-in of it, is in their own network."""

    allows_private: bool = False
    resolve: Resolve = addresses

    def checked(self, host: str) -> list[str]:
        """The addresses of a host, all of them good. Raises `Forbidden`, and `OSError` for a name that is none."""
        found = list(self.resolve(host))
        for text in found:
            self._check(ip_address(text.partition("%")[0]))
        return found

    def check_if_known(self, host: str) -> None:
        """Before a proxy is asked, which knows names that this machine may not. Raises `Forbidden`."""
        try:
            self.checked(host)
        except OSError:
            return

    def open(self, host: str, port: int, timeout: float) -> socket.socket:
        """Raises `Forbidden`, `OSError`."""
        found = self.checked(host)
        for address in found[:-1]:
            try:
                return _connected(address, port, timeout)
            except OSError:
                continue  # as every client does: another address of the host may answer
        return _connected(found[-1], port, timeout)

    def _check(self, address: Address) -> None:
        for each in _all_forms(address):
            is_private = not each.is_global and not self.allows_private
            if each in METADATA or each.is_link_local or each.is_multicast or each in _THIS_HOST or each.is_unspecified or is_private:
                raise Forbidden


def _all_forms(address: Address) -> list[Address]:
    """The address, and the IPv4 address that is wrapped up in it."""
    if isinstance(address, IPv4Address):
        return [address]
    inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in _NAT64):
        inner.append(IPv4Address(int(address) & 0xFFFFFFFF))
    wrapped = [each for each in inner if each is not None]
    return list(wrapped) if address.ipv4_mapped else [address, *wrapped]


def _connected(address: str, port: int, timeout: float) -> socket.socket:
    connection = socket.create_connection((address, port), timeout)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


class GuardedConnection(HTTPConnection):
    """Goes to an address that `guard` has checked; the name is for the other side alone."""

    def __init__(self, host: str, port: int, *, timeout: float, guard: Guard) -> None:
        super().__init__(host, port, timeout=timeout)
        self._guard, self._patience = guard, timeout

    def connect(self) -> None:
        self.sock = self._guard.open(self.host, self.port, self._patience)


class GuardedTlsConnection(HTTPSConnection):
    """The same over TLS: the certificate must be the name's."""

    def __init__(self, host: str, port: int, *, timeout: float, guard: Guard, trust: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=timeout, context=trust)
        self._guard, self._patience, self._trust = guard, timeout, trust

    def connect(self) -> None:
        plain = self._guard.open(self.host, self.port, self._patience)
        try:
            self.sock = self._trust.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise
