import os
import stat
from pathlib import Path

import pytest

from monitor.errors import ReportNotWritten
from monitor.files import EDGE_BYTES, write_bytes
from monitor.report_files import is_report


def test_the_report_is_written_whole(tmp_path: Path) -> None:
    write_bytes(b"all of it\n", tmp_path / "report.md")
    assert (tmp_path / "report.md").read_bytes() == b"all of it\n"


def test_nothing_else_is_left_beside_it(tmp_path: Path) -> None:
    write_bytes(b"text", tmp_path / "report.md")
    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]


def test_an_older_report_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    path.write_text("old")
    path.chmod(0o640)
    write_bytes(b"new", path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.md").symlink_to("real.md")
    write_bytes(b"text", tmp_path / "link.md")
    assert (tmp_path / "link.md").is_symlink()
    assert (tmp_path / "real.md").read_text() == "text"


def test_a_device_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_bytes(b"text", pipe)
    assert os.read(reader, 100) == b"text"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    (tmp_path / "report.md").symlink_to("/dev/full")
    with pytest.raises(ReportNotWritten, match="the disk is full"):
        write_bytes(b"text", tmp_path / "report.md")


def test_a_directory_in_the_way_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "report.md").mkdir()
    with pytest.raises(ReportNotWritten, match="a directory of that name is in the way"):
        write_bytes(b"text", tmp_path / "report.md")
    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]


@pytest.mark.parametrize("place", ["missing/report.md", "file/report.md"])
def test_a_missing_directory_is_named(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportNotWritten, match="its directory does not exist"):
        write_bytes(b"text", tmp_path / place)


def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReportNotWritten):
        write_bytes(b"text", tmp_path / "nul\0.md")


# --- what may be written over --------------------------------------------------------------------------------------


def is_ours(edges: bytes) -> bool:
    return b"ours" in edges


def test_a_file_of_somebody_else_is_refused_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    path.write_bytes(b"the thesis")
    with pytest.raises(ReportNotWritten, match="there already and was not written by this command"):
        write_bytes(b"text", path, may_replace=is_ours)
    assert path.read_bytes() == b"the thesis"


FILLING = b" " * 3 * EDGE_BYTES


@pytest.mark.parametrize("there", [b"", b"this is ours", b"ours" + FILLING, FILLING + b"ours"])
def test_an_empty_file_and_one_of_ours_are_replaced(there: bytes, tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    path.write_bytes(there)
    write_bytes(b"text", path, may_replace=is_ours)
    assert path.read_bytes() == b"text"


@pytest.mark.parametrize("there", [b"# Notes on training\n", b"<html><head></head></html>", b"PK\x03\x04", bytes(500)])
def test_other_files_are_no_reports(there: bytes) -> None:
    assert not is_report(there)
