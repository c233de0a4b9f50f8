"""The Internet checksum (RFC 1071), as VRRP, IPv4 and ICMPv6 use it."""


def ones_complement_sum(data: bytes) -> int:
    """Return the 16-bit one's complement sum, 0..65534, of data padded to an even length.

    65536 is 1 modulo 65535, so the sum of the 16-bit words is the whole number modulo 65535; C code
    does the same with end-around carries. 0 stands for both zeros of one's complement.
    """
    return int.from_bytes(data + b"\0" if len(data) & 1 else data) % 0xFFFF


def internet_checksum(data: bytes) -> int:
    """Return the checksum of data, whose checksum field is zero and which is not all zero."""
    return -ones_complement_sum(data) % 0xFFFF


def is_intact(data: bytes) -> bool:
    """Return whether data that contains its checksum sums up to (either) zero."""
    return ones_complement_sum(data) == 0
