"""The journal keeps whole events only."""

from pathlib import Path

from simulators.sap_cis.journal import Journal


class TestJournal:
    def test_gives_back_what_was_appended(self, tmp_path: Path) -> None:
        first = Journal(tmp_path / "journal.jsonl")
        first.append({"event": "one"}, {"event": "two", "text": "ä\n"})
        first.close()
        assert list(Journal(tmp_path / "journal.jsonl").replay()) == [{"event": "one"}, {"event": "two", "text": "ä\n"}]

    def test_cuts_off_a_line_torn_by_a_kill(self, tmp_path: Path) -> None:
        path = tmp_path / "journal.jsonl"
        path.write_text('{"event":"one"}\n{"event":"tw')
        journal = Journal(path)
        assert list(journal.replay()) == [{"event": "one"}]
        journal.append({"event": "three"})
        assert path.read_text() == '{"event":"one"}\n{"event":"three"}\n'

    def test_keeps_none_of_the_events_a_kill_tore_apart(self, tmp_path: Path) -> None:
        path = tmp_path / "journal.jsonl"
        whole = Journal(path)
        whole.append({"event": "one"})
        whole.append({"event": "orders"}, {"event": "planned"})
        whole.close()
        path.write_bytes(path.read_bytes()[:-3])
        assert list(Journal(path).replay()) == [{"event": "one"}]

    def test_keeps_nothing_without_a_file(self) -> None:
        journal = Journal(None)
        journal.append({"event": "one"})
        assert list(journal.replay()) == []
