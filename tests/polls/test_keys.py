"""Keys of anonymous polls: of this user only, one each, and gone when they are destroyed."""

from __future__ import annotations

import os

import pytest

from shellbot.errors import ConfigError
from shellbot.polls.keys import Keys


def test_a_key_is_made_once_and_is_of_this_user_only(tmp_path):
    keys = Keys(tmp_path)
    key = keys.make("poll/../1")
    assert keys.make("poll/../1") == keys.read("poll/../1") == key
    assert keys.make("another") != key
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


def test_a_destroyed_key_is_overwritten_and_gone_also_its_half_made_file(tmp_path):
    keys = Keys(tmp_path)
    key = keys.make("1")
    (file,) = tmp_path.iterdir()
    os.link(file, tmp_path / f".{file.name}.4711")  # a kill came before this one was taken away
    os.link(file, tmp_path / "witness")
    keys.destroy("1")
    keys.destroy("1")
    assert [file.name for file in tmp_path.iterdir()] == ["witness"]
    assert key not in (tmp_path / "witness").read_bytes()
    assert not keys.has("1")
    assert not keys.has_any()


def test_a_key_that_is_gone_is_never_made_anew_by_reading(tmp_path):
    with pytest.raises(ConfigError, match="is gone"):
        Keys(tmp_path).read("1")
    assert not any(tmp_path.iterdir())
