import os
import sqlite3
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real.errors import Sim2RealError
from sim2real.study.store import COLUMNS, Store, locked

FLOAT = st.none() | st.floats(allow_nan=False)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
COUNT = st.none() | st.integers(0, 2**31)
KINDS = {"TEXT PRIMARY KEY": TEXT, "TEXT NOT NULL": TEXT, "INTEGER NOT NULL": st.integers(0, 2**32)}
SHARE = st.none() | st.floats(0, 1, exclude_min=True, exclude_max=True) | st.integers(0, 1)
KINDS |= {"REAL": FLOAT, "INTEGER": COUNT, "NUMERIC": SHARE, "TEXT": st.none() | TEXT}
ROWS = st.lists(
    st.fixed_dictionaries({name: KINDS[kind] for name, kind in COLUMNS.items()}),
    unique_by=lambda row: row["key"],
    max_size=6,
)


def row(key, **changes):
    return dict.fromkeys(COLUMNS, "") | {"status": "ok", "seed": 1, "return": 0.3, "key": key} | changes


@pytest.fixture
def store(tmp_path):
    store = Store.create(tmp_path)
    store.add([row(f"{i:03}") for i in range(300)])
    return store


@settings(max_examples=30, deadline=None)
@given(rows=ROWS, cut=st.integers(0, 6))
def test_rows_come_back_as_they_went_in(tmp_path_factory, rows, cut):
    """Every value survives to the bit; order, batches and repetition of insertion leave no trace."""
    one, two = (Store.create(tmp_path_factory.mktemp("run")) for _ in range(2))
    one.add(rows)
    for part in (rows[cut:], rows[:cut], rows):
        two.add({**row, "wall_s": 9.0} for row in reversed(part))
    assert one.rows() == sorted(rows, key=lambda row: row["key"].encode())
    assert one.table_hash() == two.table_hash()
    assert one.keys() == {row["key"] for row in rows}
    assert len(one) == len(rows)


def test_the_table_hash_sees_every_column_but_the_time(tmp_path):
    """Any difference that is not wall-clock time changes the hash."""
    hashes = set()
    for i, name in enumerate(["wall_s", *COLUMNS]):
        (folder := tmp_path / str(i)).mkdir()
        store = Store.create(folder)
        store.add([row("a") | {name: 7}])
        hashes.add(store.table_hash())
    assert len(hashes) == len(COLUMNS)


def test_a_recorded_key_keeps_its_row_until_forgotten(store):
    """Adding is idempotent; forgetting a status makes those trials missing again."""
    store.add([row("000", status="crashed"), row("900", status="crashed")])
    assert store.rows()[0]["status"] == "ok"
    store.forget("crashed", "timeout")
    assert len(store) == 300


@pytest.mark.parametrize("share", [0.0, 0.001, 0.2, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused_and_left_alone(store, share):
    """Damage is a sentence, never a half-read table, and the file stays for whoever may repair it."""
    data = store.path.read_bytes()
    store.path.write_bytes(damaged := data[: int(share * len(data))])
    for use in (Store, Store.create):
        with pytest.raises(Sim2RealError, match="left as it is|left as it was"):
            use(store.folder)
    assert store.path.read_bytes() == damaged


def test_a_foreign_file_is_refused_and_left_alone(tmp_path):
    """Neither another program's database nor any other file is taken for ours."""
    path = tmp_path / "records.sqlite"
    path.write_text("not a database, but long enough to be read as one" * 100)
    with pytest.raises(Sim2RealError, match="file is not a database"):
        Store.create(tmp_path)
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE records (key TEXT)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(Sim2RealError, match="not a record file of sim2real"):
        Store.create(tmp_path)
    assert path.read_bytes() == before


def test_records_of_another_version_are_refused(store):
    """The schema's number is checked before anything is read."""
    with sqlite3.connect(store.path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(Sim2RealError, match="records of version 99"):
        Store(store.folder)


def test_a_truncated_journal_loses_whole_batches_only(tmp_path):
    """Whatever a crash leaves of the write-ahead log, the table holds the first batches, each of them whole."""
    (run := tmp_path / "run").mkdir()
    store = Store.create(run)
    store.add([row("first")])
    reader = sqlite3.connect(store.path)
    reader.execute("SELECT * FROM records").fetchall()  # keeps the log from being folded into the file
    for batch in range(4):
        store.add([row(f"{batch}{i}") for i in range(10)])
    files = {path.name: path.read_bytes() for path in store.folder.iterdir()}
    reader.close()
    log = files["records.sqlite-wal"]
    counts = []
    for i, cut in enumerate(range(0, len(log) + 1, max(1, len(log) // 40))):
        folder = tmp_path / str(i)
        folder.mkdir()
        (folder / "records.sqlite").write_bytes(files["records.sqlite"])
        (folder / "records.sqlite-wal").write_bytes(log[:cut])
        counts.append(len(Store.create(folder).rows()))
    assert counts == sorted(counts)
    assert set(counts) <= {1, 11, 21, 31, 41}
    assert len(set(counts)) > 2


def test_only_one_run_at_a_time_may_hold_a_folder(tmp_path):
    """The second is told so; the first one's end frees the folder."""
    with locked(tmp_path), pytest.raises(Sim2RealError, match="Another run is writing"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path):
    """Nothing is run whose records could not be kept."""
    (tmp_path / "file").write_text("")
    with pytest.raises(Sim2RealError, match="cannot hold records"), locked(tmp_path / "file" / "run"):
        pass
    with pytest.raises(Sim2RealError, match="holds no records"):
        Store(tmp_path)


@pytest.fixture
def unprivileged(tmp_path_factory):
    """A folder that one may be kept out of: root gives its rights up for the length of a test."""
    if os.getuid():
        yield tmp_path_factory.mktemp("mine")
        return
    with tempfile.TemporaryDirectory() as folder:  # beside pytest's own, which are root's alone
        os.chown(folder, 65534, 65534)
        os.setresuid(65534, 65534, 0)
        try:
            yield Path(folder)
        finally:
            os.setresuid(0, 0, 0)


def test_a_folder_that_cannot_be_written_is_a_sentence(unprivileged):
    """Records can be read where they cannot be changed, and that is said before any work."""
    store = Store.create(unprivileged)
    store.add([row("a")])
    store.write_meta({"name": "it"})
    store.folder.chmod(0o500)
    try:
        assert len(Store(store.folder).rows()) == 1
        with pytest.raises(Sim2RealError, match="cannot hold records: Permission denied"):
            Store.create(store.folder)
        with pytest.raises(Sim2RealError, match="readonly database"):
            store.add([row("b")])
        with pytest.raises(Sim2RealError, match=r"study\.json' cannot be written: Permission denied"):
            store.write_meta({"name": "other"})
        (unread := Store(store.folder)).path.chmod(0o000)
        with pytest.raises(Sim2RealError, match="unable to open database"):
            unread.rows()
    finally:
        store.folder.chmod(0o700)
    assert store.meta == {"name": "it"}


def test_the_reasons_of_failures_are_read_without_the_rows(store):
    """Why each trial failed, by key; nothing where it did not."""
    store.add([row("crash", status="crashed", error="It died."), row("odd", status="timeout")])
    assert store.failures() == dict.fromkeys(store.keys(), "") | {
        "crash": "crashed: It died.",
        "odd": "timeout: ",
    }


def test_a_row_takes_less_than_a_kilobyte_of_memory(tmp_path):
    """Texts that rows share are held once, so that a million rows fit where one does."""
    long = {"condition": "c" * 500, "versions": "v" * 300, "metrics": "m" * 200, "env": "e" * 50}
    store = Store.create(tmp_path)
    store.add([row(f"{i:032}", digest=f"{i:032x}", wall_s=i + 0.5, **long) for i in range(2000)])
    tracemalloc.start()
    try:
        rows = store.rows()
        assert tracemalloc.get_traced_memory()[0] < 1000 * len(rows)
    finally:
        tracemalloc.stop()


def test_taking_all_rows_of_a_store_is_adding_them(store, tmp_path):
    """From another folder or from itself, where it can be written and where not, in WAL mode or fresh."""
    (tmp_path / "other").mkdir()
    other = Store.create(tmp_path / "other")
    other.add([row("000", status="crashed"), row("new")])
    for source in (other, Store.create(tmp_path / "other"), store):
        store.add_all(source)
    assert len(store) == 301
    assert store.rows()[0]["status"] == "ok"
    assert len(other) == 2


def test_meta_is_written_whole(store):
    """study.json is replaced at once; a damaged one is a sentence."""
    assert store.meta == {}
    store.write_meta({"name": "Läufer", "keys": [1, 2]})
    assert store.meta == {"name": "Läufer", "keys": [1, 2]}
    assert {path.name for path in store.folder.iterdir()} == {"records.sqlite", "study.json"}
    text = (store.folder / "study.json").read_text()
    (store.folder / "study.json").write_text(text[:-5])
    with pytest.raises(Sim2RealError, match=r"study\.json' is damaged"):
        store.meta  # noqa: B018
