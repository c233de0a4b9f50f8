"""ipvsadm's command lines: what they order, and what is said of a wrong one."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfest.config.ipvsadm import COMMANDS, FLAGS, SHORT, VALUES, Names, parse
from standfest.model.balancing import Forwarding, Method
from standfest.model.forwarding import (
    AddDestination,
    AddService,
    Destination,
    DestinationKey,
    ServiceKey,
    ServiceOptions,
)
from standfest.model.ipvstable import Columns, Do, Save, SetTimeouts, Show, ShowConnections
from standfest.model.vrrp import Family
from standfest.wire.ipvs import read_connections


def port(name: str, protocol: str) -> int:
    if (name, protocol) == ("smtp", "tcp"):
        return 25
    raise OSError(f"no {name}")


def host(name: str) -> IPv4Address | IPv6Address:
    if name == "web":
        return ip_address("192.0.2.7")
    raise OSError(f"no {name}")


NAMES = Names(port, host)
MAIL = ServiceKey(Family.IPV4, "TCP", ip_address("123.123.123.1"), 25)


def said(line: str) -> object:
    return parse(line.split(), NAMES)


def test_the_report_s_lines() -> None:
    """TUM-I0828, section 5.3.1."""
    assert said("-A -t 123.123.123.1:smtp -s rr") == Do(AddService(MAIL, ServiceOptions("rr")))
    server = DestinationKey(ip_address("192.168.0.101"), 25)
    for letter, way in (("m", Forwarding.NAT), ("g", Forwarding.DIRECT), ("i", Forwarding.TUNNEL)):
        assert said(f"-a -t 123.123.123.1:smtp -r 192.168.0.101:smtp -{letter} -w 1") == Do(
            AddDestination(MAIL, server, Destination(Method(way), 1))
        )


def test_letters_may_stand_together_and_values_next_to_them() -> None:
    assert said("-Ln --stats") == Show(Columns.STATISTICS, numeric=True)
    assert said("-Lnc") == ShowConnections(numeric=True)
    assert said("-Sn") == Save(numeric=True)
    assert said("-at 123.123.123.1:25 -rweb -w3") == Do(
        AddDestination(
            MAIL,
            DestinationKey(ip_address("192.0.2.7"), 25),
            Destination(Method(Forwarding.DIRECT), 3),
        )
    )
    assert said("") == Show()
    assert said("--set 900 0 300") == SetTimeouts(900, 0, 300)


def test_persistence_has_six_minutes_unless_a_number_follows() -> None:
    for line, timeout in (("-A -t 1.2.3.4 -p", 360), ("-A -t 1.2.3.4 -p 50", 50)):
        order = said(line)
        assert isinstance(order, Do)
        assert isinstance(order.change, AddService)
        assert order.change.options.timeout == timeout


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (
            "-A -t 1.2.3.4 -s rr",
            "TCP 1.2.3.4:0: no port; expected one, or -p for all ports of the address",
        ),
        ("-A -t nowhere:80", "-t 'nowhere' is neither an address nor a known host"),
        ("-A -t 1.2.3.4:nosuch", "-t: 'nosuch' is no service of TCP; expected a port"),
        ("-A -t 1.2.3.4:99999", "-t ...: 99999; expected 0 to 65535"),
        ("-a -t 1.2.3.4:80", "-a needs a server: -r ADDRESS[:PORT]"),
        ("-A -s rr", "-A needs a service: -t, -u, --sctp-service or -f"),
        ("-A -t 1.2.3.4:80 -r 1.1.1.1", "-r does not go with -A"),
        ("-A -t 1.2.3.4:80 -u 1.1.1.1:4", "-t and -u; expected one service"),
        ("-A -D -t 1.2.3.4:80", "-A and -D; expected one command"),
        (
            "-A -t 1.2.3.4:80 -b nosuch",
            "-b nosuch; expected flag-1, flag-2, flag-3, mh-fallback, mh-port, sh-fallback, "
            "sh-port",
        ),
        ("-A -f 0", "-f 0; expected 1 to 4294967295"),
        ("-a -t 1.2.3.4:80 -r 1.1.1.1 -w x", "-w x; expected 0 to 2147483647"),
        ("-a -t 1.2.3.4:80 -r 1.1.1.1 -m -g", "-g and -m; expected one way"),
        ("-a -t 1.2.3.4:80 -r 1.1.1.1 -x 5 -y 6", "-y 6 is above -x 5"),
        ("-a -t 1.2.3.4:80 -r 1.1.1.1 --tun-type gue", "--tun-type is of tunnels; expected -i"),
        ("-A -t 1.2.3.4:80 -M 255.0.0.0", "-M is of persistence; expected -p, too"),
        ("-w 3", "-w without a command; expected e.g. -L"),
        ("--set 1 2", "--set needs 3 values"),
        ("--start-daemon foo", "--start-daemon foo; expected master or backup"),
        ("--shceduler rr", "unknown option --shceduler; did you mean --scheduler?"),
        ("-Q", "unknown option -Q; ipvsadm(8) lists them"),
        ("-A -t", "-t needs a value"),
        ("list", "'list'; expected an option"),
    ],
)
def test_a_wrong_line_is_named_in_one(line: str, complaint: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is what is judged
        said(line)
    assert str(caught.value) == complaint


WORDS = st.one_of(
    st.sampled_from([f"-{letter}" for letter in SHORT]),
    st.sampled_from([f"--{name}" for name in sorted(COMMANDS | FLAGS | VALUES.keys())]),
    st.sampled_from(["1.2.3.4:80", "[::1]:80", "rr", "5", "web", "smtp", "-", "[", ":", ""]),
    st.text(max_size=8),
)


@given(st.lists(WORDS, max_size=12))
def test_any_words_are_an_order_or_a_complaint_of_one_line(words: list[str]) -> None:
    try:
        parse(words, NAMES)
    except ValueError as error:
        complaint = str(error)
    else:
        complaint = "none"
    assert complaint


def test_connections_are_read_from_the_kernel_s_text() -> None:
    text = (
        "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n"
        "TCP 7F000005 CAB2 7F000005 0050 7F000001 1F90 CLOSE             9\n"
        "TCP [2001:0db8:0000:0000:0000:0000:0000:0009] CAB2 "
        "[2001:0db8:0000:0000:0000:0000:0000:0099] 0050 "
        "[2001:0db8:0000:0000:0000:0000:0000:0010] 1F90 ESTABLISHED     899\n"
    )
    first, second = read_connections(text)
    assert str(first.client) == "127.0.0.5:51890"  # 0xCAB2
    assert (str(first.server), first.state, first.expires) == ("127.0.0.1:8080", "CLOSE", 9)
    assert str(second.virtual) == "[2001:db8::99]:80"
