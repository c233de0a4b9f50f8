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
    assert authkeys.parse(REPORT_TEXT, "authkeys")[0] == Keyring(1, (key,))


@pytest.mark.skipif(not REPORT.is_file(), reason=f"no report file {REPORT}")
def test_the_literal_here_is_the_reports_file() -> None:
    assert REPORT.read_text() == REPORT_TEXT


def test_all_methods_and_comments_are_read() -> None:
    text = "# keys\nauth 2\n\n 1 crc\n2 sha1 a#b,c\n# 3 md5 old\n15 md5 x\r\n"
    assert authkeys.parse(text, "authkeys")[0] == Keyring(
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
        ("auth 1\n1\n", ":2: key 1 has no method; expected crc, md5, sha1, sha256 or aes256-gcm"),
        (
            "auth 1\n1 sha SECRET\n",
            ':2: key 1 has an unknown method; did you mean "sha1"?; '
            "expected crc, md5, sha1, sha256 or aes256-gcm",
        ),
        (
            "auth 1\n1 SECRETWORD\n",
            ":2: key 1 has an unknown method; expected crc, md5, sha1, sha256 or aes256-gcm",
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
            "auth 1\n1 aes256-gcm SECRETSECRET123\n",  # 15 bytes
            ":2: key 1 (aes256-gcm) is shorter than 16 bytes; "
            "expected what `openssl rand -base64 32` prints",
        ),
        (
            "auth 1\n1 aes256-gcm SECRETSECRETSECRET\n2 sha256 SECRET\n",
            ":3: key 2 (sha256) beside key 1 (aes256-gcm); "
            'expected aes256-gcm keys only, or "mixed yes" while nodes change over',
        ),
        (
            "auth 1\n1 crc\nmixed\n",
            ':3: "mixed" does not say yes; expected "mixed yes", or no such line',
        ),
        (
            "mixed yes\nmixed yes\nauth 1\n1 crc\n",
            ':2: "mixed" again; line 1 has it; expected one "mixed" line',
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


AES = "1 aes256-gcm SECRETSECRET1234\n"


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        ("auth 1\n1 sha256 SECRET\n", []),
        ("auth 1\n" + AES, []),
        (
            "auth 1\n1 sha256 SECRET\n2 crc\n",  # not active, but it lets messages in
            [
                ":3: warning: key 2 is crc: it authenticates nothing, anybody can send; "
                "expected sha1 beside heartbeat 3.0.6, else sha256 or aes256-gcm"
            ],
        ),
        (
            "auth 1\n1 sha1 SECRET\n2 md5 SECRET\n",
            [
                ":2: warning: key 1 is sha1: old; "
                "expected sha256 or aes256-gcm where no node runs heartbeat 3.0.6",
                ":3: warning: key 2 is md5: old; "
                "expected sha256 or aes256-gcm where no node runs heartbeat 3.0.6",
            ],
        ),
        (
            "mixed yes\nauth 1\n" + AES + "2 sha256 SECRET\n",
            [
                ":1: warning: unencrypted messages are accepted, too; "
                "expected no such line in the end"
            ],
        ),
        (
            "mixed yes\nauth 1\n" + AES,
            [':1: warning: "mixed" has no effect: the keys are of one kind; expected no such line'],
        ),
    ],
)
def test_weak_methods_are_named_and_no_secret(text: str, warnings: list[str]) -> None:
    ring, found = authkeys.parse(text, "authkeys")
    assert [str(finding) for finding in found] == [f"authkeys{warning}" for warning in warnings]
    assert "SECRET" not in repr(ring)


def test_only_a_ring_of_keys_that_encrypt_refuses_what_can_be_read() -> None:
    def ring(text: str) -> Keyring:
        return authkeys.parse(text, "authkeys")[0]

    assert ring("auth 1\n" + AES).only_encrypted
    assert not ring("mixed yes\nauth 1\n" + AES + "2 sha256 SECRET\n").only_encrypted
    assert not ring("auth 1\n1 sha256 SECRET\n").only_encrypted
    # Who runs heartbeat 3.0.6 follows a change of keys among its own methods only.
    assert ring("auth 1\n1 sha1 SECRET\n2 md5 SECRET\n").changing
    assert not ring("auth 1\n1 sha1 SECRET\n2 sha256 SECRET\n").changing
    assert not ring("auth 2\n1 sha1 SECRET\n2 sha256 SECRET\n3 md5 SECRET\n").changing


def test_a_keyring_does_not_show_its_secrets() -> None:
    assert "Geheime" not in repr(authkeys.parse(REPORT_TEXT, "authkeys")[0])


@pytest.mark.parametrize("mode", [0o100600, 0o100400, 0o600])
def test_a_private_mode_is_accepted(mode: int) -> None:
    authkeys.check_mode(mode, "authkeys")


@pytest.mark.parametrize("mode", [0o100640, 0o100604, 0o100610, 0o100602, 0o100644])
def test_any_bit_for_group_or_others_is_refused(mode: int) -> None:
    with pytest.raises(ConfigError) as raised:
        authkeys.check_mode(mode, "authkeys")
    shown = f"{mode & 0o7777:04o}"
    assert str(raised.value) == f"authkeys: mode is {shown}; expected 0600: it holds secrets"
