import io

import pytest

from porelay_kit.cli.transfer import Lines, shown


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_lines_tell_share_bytes_seconds_and_rate(capsys):
    lines = Lines("uploading", 40_000_000, every_s=-1)
    lines.count(10_000_000)
    lines.count(20_000_000)
    lines.end()
    first, second, last = capsys.readouterr().err.splitlines()
    assert first.startswith("uploading          25 %  10.0 of 40.0 MB") and first.endswith(" MB/s")
    assert " 75 %  30.0 of 40.0 MB" in second and "done   30.0 MB" in last


def test_lines_come_at_most_every_ten_seconds_and_none_where_nothing_was_sent(capsys):
    with shown("uploading", 10, quiet=False) as count:
        for _ in range(10):
            count(1)
    with shown("uploading", 10, quiet=False):
        pass
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_terminal_shows_a_bar_with_bytes_and_rate(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "110")
    with shown("reading", 8_000_000, quiet=False) as count:
        count(2_000_000)
    assert "reading" in screen.getvalue() and " 25 %" in screen.getvalue() and "2.0/8.0 MB" in screen.getvalue()


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_nothing_is_shown_where_nobody_wants_it(stream, monkeypatch):
    screen = stream()
    monkeypatch.setattr("sys.stderr", screen)
    with shown("reading", 8, quiet=True) as count:
        count(8)
    assert screen.getvalue() == ""
