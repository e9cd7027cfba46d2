"""Names of files and addresses that come from chat (row C14): never a path, never fetched, always harmless to read."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shellbot.errors import FileRefused
from shellbot.files.names import clean_name, type_of
from shellbot.files.shelf import Limits, Shelf

# What somebody may type, or call a file, and what is left of it.
CORPUS = {
    "../x": "x",
    "../../../../etc/passwd": "passwd",
    "/etc/passwd": "passwd",
    "/dev/null": "null",
    "/proc/self/environ": "environ",
    "..\\..\\boot.ini": "boot.ini",
    "C:\\Windows\\system.ini": "system.ini",
    "\\\\host\\share\\x": "x",
    "file:///etc/passwd": "passwd",
    "http://169.254.169.254/latest/meta-data": "meta-data",
    "http://localhost:8080/": "file",
    ".": "file",
    "..": "file",
    "": "file",
    " ": "file",
    "\0": "file",
    ".bashrc": "bashrc",
    "con": "_con",
    "NUL.txt": "_NUL.txt",
    "com1.tar.gz": "_com1.tar.gz",
    "console.txt": "console.txt",
    "a\r\nSet-Cookie: x": "a Set-Cookie_ x",
    'a".html': "a_.html",
    "a\x1b[31m.txt": "a[31m.txt",
    "\u202etxt.exe": "txt.exe",
    "re\u200bport.txt": "report.txt",
    "e\u0301.txt": "\u00e9.txt",
    "trailing. . ": "trailing",
    "\ud800.txt": "txt",
    "\U0001f355.png": "\U0001f355.png",
}


def test_c14_no_name_from_chat_is_a_path():
    assert {name: clean_name(name) for name in CORPUS} == CORPUS
    long = clean_name("x" * 4000 + ".tar.gz")
    assert len(long.encode()) == 200
    assert long.endswith("x….gz")


@given(st.text(max_size=400) | st.text(alphabet="./\\\u202e\0 \tü🍕:con", max_size=4000))
def test_c14_whatever_a_name_is_it_becomes_a_short_plain_one(name):
    cleaned = clean_name(name)
    assert cleaned == clean_name(cleaned)
    assert 0 < len(cleaned.encode()) <= 200
    assert os.path.basename(cleaned) == cleaned
    assert cleaned not in (".", "..")
    kinds = {unicodedata.category(char) for char in cleaned if char != "\u200d"}
    assert not kinds & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert not set(cleaned) & set('/\\<>:"|?*')


@given(st.binary(max_size=16), st.text(max_size=40), st.text(max_size=40))
def test_c14_what_only_says_that_it_is_a_picture_is_none(head, declared, name):
    is_picture = head[:8] == b"\x89PNG\r\n\x1a\n" or head[:3] == b"\xff\xd8\xff" or head[:4] in (b"GIF8", b"RIFF")
    for told in (declared, "image/png", "image/svg+xml"):
        assert is_picture or type_of(head, told, f"{name}.png") not in (
            "image/png",
            "image/jpeg",
            "image/gif",
            "image/webp",
        )


@pytest.mark.parametrize("name", CORPUS)
def test_c14_a_name_from_chat_says_nothing_about_where_a_file_is_kept(tmp_path, name):
    shelf = Shelf(tmp_path / "files", Limits(max_bytes=10))
    shelf.open({})
    draft = shelf.new(name)
    draft.write(b"content")
    file = draft.finish()
    assert Path(file.path).parent == tmp_path / "files"
    assert file.read() == b"content"
    assert [entry.name for entry in tmp_path.iterdir()] == ["files"]
    assert os.stat(file.path).st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/passwd",
        "http://127.0.0.1:1/x",
        "http://169.254.169.254/latest/meta-data",
        "https://example.org/redirect-to-localhost",
        "ftp://example.org/x",
        "//example.org/x",
        "data:text/plain,x",
        "javascript:alert(1)",
    ],
)
def test_c14_no_address_is_ever_fetched(tmp_path, address, monkeypatch):
    import socket

    def connect(*args):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", connect)
    shelf = Shelf(tmp_path / "files")
    shelf.open({})
    with pytest.raises(FileRefused):
        shelf.sources([address])


def test_c14_a_link_that_takes_the_place_of_a_file_is_not_followed(tmp_path):
    """Also one that is put there between the look at it and the opening: the second look is at what was opened."""
    shelf = Shelf(tmp_path / "files")
    shelf.open({})
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(FileRefused, match="is a link"):
        shelf.sources([tmp_path / "link"])
    planted = shelf.new("a")
    planted.write(b"a")
    kept = planted.finish()
    os.unlink(kept.path)
    os.symlink("/etc/passwd", kept.path)
    shelf.open({})  # the sweep takes away the link, not what it leads to
    assert not os.path.lexists(kept.path)
    assert Path("/etc/passwd").exists()
