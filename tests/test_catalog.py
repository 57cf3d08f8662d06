"""The catalog: resources in their order, and every blob that they name."""

from __future__ import annotations

from pathlib import Path

import pytest

from carboy.applier.directory import Directory
from carboy.applier.file import File
from carboy.applier.release import Release
from carboy.applier.venv import Venv
from carboy.catalog import Catalog, Content, digest, encode


@pytest.mark.parametrize("data", ["größe", "größe".encode(), Path("file")], ids=["text", "bytes", "file"])
def test_content_is_known_by_its_bytes(data: str | bytes | Path, tmp_path: Path) -> None:
    """Text, bytes and a file of the same bytes are the same content."""
    if isinstance(data, Path):
        data = tmp_path / data
        data.write_bytes("größe".encode())
    content = Content.of(data)
    assert content == Content.of("größe")
    assert (content.size, content.text()) == (7, "größe")


def test_contents_do_not_show_what_they_hold() -> None:
    """A content in a message or a traceback tells its digest, never its bytes."""
    assert "hunter2" not in repr(Content.of("hunter2"))


def test_every_blob_is_found_however_deep() -> None:
    """Contents in fields, in mappings, in tuples, in nested resources, and those that a content names."""
    leaves = [Content.of(f"leaf {number}") for number in range(2)]
    parts = {name: Content.of(name) for name in ("file", "manifest", "requirements", "unit")}
    manifest = Content.of("manifest", names=tuple(leaves))
    release = Release("app", "d", manifest, Venv("/v", parts["requirements"]), {"unit": ("0644", parts["unit"])}, {})
    catalog = Catalog.of([("one", File("/f", parts["file"])), ("two", release)])
    assert set(catalog.blobs) == {content.sha256 for content in [*leaves, *parts.values()]}
    assert catalog.blobs[leaves[1].sha256] == b"leaf 1"


def test_the_order_is_that_of_the_declaration() -> None:
    """Resources are applied in the order in which roles declare them, and each tells its role."""
    wire = Catalog.of((role, Directory(f"/{role}")) for role in "cab").wire()
    assert [[role, resource["path"]] for role, resource in wire] == [["c", "/c"], ["a", "/a"], ["b", "/b"]]


def test_defaults_do_not_travel() -> None:
    """Only what differs from a default is on the wire, which is what keeps the payload small."""
    assert encode(Directory("/srv")) == {"is": "directory.Directory", "path": "/srv"}
    assert encode(Directory("/srv", mode="0700"))["mode"] == "0700"


def test_digests_do_not_depend_on_where_files_lie(tmp_path: Path) -> None:
    """A release has the same identity on the laptop of each developer."""
    files = [tmp_path / name for name in ("a", "b")]
    for file in files:
        file.write_text("same")
    assert digest(Content.of(files[0])) == digest(Content.of(files[1])) == digest(Content.of("same"))
