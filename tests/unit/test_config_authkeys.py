"""authkeys: the report's file, every mistake in one exact line, and no secret in any of them."""

from pathlib import Path

import pytest

from standfest.config import authkeys
from standfest.model.errors import ConfigError
from standfest.model.keys import Key, Keyring, SignatureMethod

REPORT = Path(__file__).parents[3] / "shared" / "reference" / "configs" / "authkeys"
REPORT_TEXT = "auth 1\n1 sha1 StrengGeheimePassphrase\n"


def test_the_reports_authkeys_is_one_sha1_key() -> None:
    key = Key(1, SignatureMethod.SHA1, b"StrengGeheimePassphrase")
    assert authkeys.parse(REPORT_TEXT, "authkeys") == Keyring(1, (key,))


@pytest.mark.skipif(not REPORT.is_file(), reason=f"no report file {REPORT}")
def test_the_literal_here_is_the_reports_file() -> None:
    assert REPORT.read_text() == REPORT_TEXT


def test_all_methods_and_comments_are_read() -> None:
    text = "# keys\nauth 2\n\n 1 crc\n2 sha1 a#b,c\n# 3 md5 old\n15 md5 x\r\n"
    assert authkeys.parse(text, "authkeys") == Keyring(
        2,
        (
            Key(1, SignatureMethod.CRC, b""),
            Key(2, SignatureMethod.SHA1, b"a#b,c"),
            Key(15, SignatureMethod.MD5, b"x"),
        ),
    )


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", ': no "auth" line; expected "auth N" with a key number from 0 to 15'),
        ("auth\n", ':1: "auth" does not name one key; expected a key number from 0 to 15'),
        ("auth 16\n", ':1: "auth" does not name one key; expected a key number from 0 to 15'),
        ("auth 1\nauth 2\n1 crc\n", ':2: "auth" again; line 1 has it; expected one "auth" line'),
        ("1 crc\nauth 1\n", ':2: "auth" after key 1; expected "auth 1" before the key\'s line'),
        ("auth 2\n1 crc\n", ":1: key 2 is not defined; expected its line after this one"),
        ("auth 1\n1 crc\n1 crc\n", ":3: key 1 again; expected each number once"),
        ("auth 1\n1\n", ":2: key 1 has no method; expected crc, md5 or sha1"),
        (
            "auth 1\n1 sha SECRET\n",
            ':2: key 1 has an unknown method; did you mean "sha1"?; expected crc, md5 or sha1',
        ),
        (
            "auth 1\n1 SECRETWORD\n",
            ":2: key 1 has an unknown method; expected crc, md5 or sha1",
        ),
        (
            "auth 1\n1 crc SECRET\n",
            ":2: key 1 (crc) has 1 words after the method; expected none: crc takes no key",
        ),
        (
            "auth 1\n1 sha1\n",
            ":2: key 1 (sha1) has 0 words after the method; expected one: the key",
        ),
        (
            "auth 1\n1 md5 SECRET WORDS\n",
            ":2: key 1 (md5) has 2 words after the method; expected one: the key",
        ),
        (
            "auth 1\nSECRET\n1 crc\n",
            ':2: the line begins with something else; expected "auth" or a key number from 0 to 15',
        ),
    ],
)
def test_each_mistake_has_its_line_and_no_secret(text: str, problems: str) -> None:
    with pytest.raises(ConfigError) as raised:
        authkeys.parse(text, "authkeys")
    assert str(raised.value) == f"authkeys{problems}"
    assert "SECRET" not in repr(raised.value.findings)


def test_a_keyring_does_not_show_its_secrets() -> None:
    assert "Geheime" not in repr(authkeys.parse(REPORT_TEXT, "authkeys"))


@pytest.mark.parametrize("mode", [0o100600, 0o100400, 0o600])
def test_a_private_mode_is_accepted(mode: int) -> None:
    authkeys.check_mode(mode, "authkeys")


@pytest.mark.parametrize("mode", [0o100640, 0o100604, 0o100610, 0o100602, 0o100644])
def test_any_bit_for_group_or_others_is_refused(mode: int) -> None:
    with pytest.raises(ConfigError) as raised:
        authkeys.check_mode(mode, "authkeys")
    shown = f"{mode & 0o7777:04o}"
    assert str(raised.value) == f"authkeys: mode is {shown}; expected 0600: it holds secrets"
