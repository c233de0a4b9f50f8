"""The keys of a shared address's members: beats are signed, never sealed."""

from pathlib import Path

import pytest

from standfest.daemons.sharing import reading
from standfest.model.errors import ConfigError


def test_a_key_that_encrypts_is_refused_since_beats_are_signed_only(tmp_path: Path) -> None:
    path = tmp_path / "authkeys"
    path.write_text("auth 1\n1 aes256-gcm SECRETSECRETSECRET\n", encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(ConfigError) as raised:
        reading.keys(path)
    expected = "key 1 is aes256-gcm: beats are signed only; expected a file of its own, with sha256"
    assert str(raised.value) == f"{path}: {expected}"
    path.write_text("auth 1\n1 sha256 SECRET\n", encoding="utf-8")
    assert reading.keys(path).active == 1
