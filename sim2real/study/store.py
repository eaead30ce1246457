"""The records of a study: a folder with a table of one row per trial, and a file that says what was run."""

import json
import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

from sim2real.errors import Sim2RealError
from sim2real.study.trial import RECORD_VERSION

try:
    import fcntl
except ImportError:  # Windows: two runs in one folder would only repeat each other's work
    fcntl = None  # type: ignore[assignment]

COLUMNS = {
    "key": "TEXT PRIMARY KEY",
    "status": "TEXT NOT NULL",
    "error": "TEXT NOT NULL",
    "env": "TEXT NOT NULL",
    "policy_sha256": "TEXT NOT NULL",
    "condition": "TEXT NOT NULL",
    "seed": "INTEGER NOT NULL",
    "return": "REAL",
    "length": "INTEGER",
    "duration_s": "REAL",
    "success": "NUMERIC",  # from 0 to 1, whole numbers as such; NULL where the environment does not tell
    "termination": "TEXT",
    "cost": "REAL",
    "violations": "INTEGER",
    "interventions": "INTEGER",
    "metrics": "TEXT",
    "parameters": "TEXT",
    "digest": "TEXT",
    "versions": "TEXT NOT NULL",
    "wall_s": "REAL",
}
_SHARED = {name for name, kind in COLUMNS.items() if kind.startswith("TEXT")} - {"key", "digest"}
_DETERMINISTIC = [name for name in COLUMNS if name != "wall_s"]
_APPLICATION_ID = 0x73327220  # "s2r ": tells a foreign database from ours
_SCHEMA = f"""
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {RECORD_VERSION};
CREATE TABLE records ({", ".join(f'"{name}" {kind}' for name, kind in COLUMNS.items())});
"""


@contextmanager
def locked(folder: str | Path) -> Iterator[None]:
    """Make a folder if need be and keep other runs out of it, until this process ends in whatever way.

    Raises:
        Sim2RealError: If the folder cannot be made, or another run holds it.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY) if fcntl else None
    except OSError as error:
        raise Sim2RealError(f"'{folder}' cannot hold records: {error.strerror or error}.") from error
    if handle is None:
        yield
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise Sim2RealError(
            f"Another run is writing to '{folder}': wait, or choose another folder."
        ) from None
    try:
        yield
    finally:
        os.close(handle)


class Store:
    """The records in a study's folder.

    Every call opens and closes the file: a store needs no closing, and others may read while one writes.

    Args:
        folder: A folder that holds `records.sqlite`.

    Raises:
        Sim2RealError: If there are no records, or they are damaged or of another version; nothing is changed.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.path = self.folder / "records.sqlite"
        if not self.path.is_file():
            raise Sim2RealError(f"'{self.folder}' holds no records; `sim2real run` makes them.")
        with self._open("ro") as db:
            if db.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION_ID:
                raise Sim2RealError(f"'{self.path}' is not a record file of sim2real; it was left as it is.")
            if (found := db.execute("PRAGMA user_version").fetchone()[0]) != RECORD_VERSION:
                raise Sim2RealError(
                    f"'{self.path}' has records of version {found}, this sim2real writes {RECORD_VERSION}; "
                    "choose another folder."
                )
            pages, size = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
            # A page that is not in the file yet is in its log. To read all pages takes seconds per million rows.
            log = self.path.with_name(f"{self.path.name}-wal")
            if pages * size > sum(path.stat().st_size for path in (self.path, log) if path.exists()):
                raise sqlite3.DatabaseError("the file ends too soon")

    @classmethod
    def create(cls, folder: str | Path) -> "Store":
        """Open the store in an existing folder, empty if there is none yet; `locked` must hold the folder.

        Raises:
            Sim2RealError: If the folder cannot be written, or as for `Store`.
        """
        path = Path(folder, "records.sqlite")
        try:
            # Also tells at once whether anything can be written here.
            with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as scratch:
                if not path.exists():
                    # Made aside and moved into place whole: no death leaves half a file behind.
                    with closing(sqlite3.connect(Path(scratch, path.name))) as db:
                        db.executescript(_SCHEMA)
                    os.replace(Path(scratch, path.name), path)
        except (OSError, sqlite3.Error) as error:
            reason = getattr(error, "strerror", None) or error
            raise Sim2RealError(f"'{folder}' cannot hold records: {reason}.") from error
        return cls(folder)

    def keys(self) -> set[str]:
        """Return the keys of all recorded trials."""
        with self._open() as db:
            return {key for (key,) in db.execute("SELECT key FROM records")}

    def rows(self) -> list[dict[str, Any]]:
        """Return all rows as dicts in the order of their keys; `COLUMNS` names the fields."""
        once: dict[Any, Any] = {}  # a text that many rows share is held once: half the memory
        with self._open() as db:
            return [
                {
                    name: once.setdefault(value, value) if name in _SHARED else value
                    for name, value in zip(COLUMNS, row, strict=True)
                }
                for row in db.execute(_select(COLUMNS))
            ]

    def batches(self, *columns: str, size: int = 10_000) -> Iterator[list[tuple[Any, ...]]]:
        """Yield some columns of all rows, so many rows at a time in the order of their keys."""
        with self._open() as db:
            rows = db.execute(_select(columns))
            while batch := rows.fetchmany(size):
                yield batch

    def failures(self) -> dict[str, str]:
        """Return why each recorded trial failed, by key; "" where it did not."""
        reason = "CASE status WHEN 'ok' THEN '' ELSE status || ': ' || error END"
        with self._open() as db:
            return dict(db.execute(f"SELECT key, {reason} FROM records").fetchall())

    def __len__(self) -> int:
        with self._open() as db:
            return int(db.execute("SELECT COUNT(*) FROM records").fetchone()[0])

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Add rows in one transaction; a key that is there already keeps its row."""
        values = [[row.get(name) for name in COLUMNS] for row in rows]
        with self._writing() as db:
            db.executemany(f"INSERT OR IGNORE INTO records VALUES ({', '.join('?' * len(COLUMNS))})", values)

    def add_all(self, other: "Store") -> None:
        """Add the rows of another store, as `add` does, without holding them; the other is left as it is."""
        with self._open() as db:
            db.execute("ATTACH ? AS other", (other._address(),))
            db.execute("INSERT OR IGNORE INTO records SELECT * FROM other.records")

    def forget(self, *statuses: str) -> None:
        """Delete the rows with one of these statuses, so that their trials are missing again."""
        with self._writing() as db:
            db.executemany("DELETE FROM records WHERE status = ?", [(status,) for status in statuses])

    def table_hash(self) -> str:
        """Return a hash of all that is recorded but the time it took: the same for the same results."""
        digest = blake2b(digest_size=16)
        with self._open() as db:
            for row in db.execute(_select(_DETERMINISTIC)):
                digest.update(json.dumps(row).encode())
        return digest.hexdigest()

    @property
    def meta(self) -> dict[str, Any]:
        """What `study.json` says about the study; empty before the first run.

        Raises:
            Sim2RealError: If the file is not JSON.
        """
        path = self.folder / "study.json"
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise Sim2RealError(f"'{path}' is damaged ({error}); move it away and run again.") from error

    def write_meta(self, meta: dict[str, Any]) -> None:
        """Write `study.json` at once or not at all."""
        path = self.folder / "study.json"
        scratch = path.with_suffix(".tmp")
        try:
            scratch.write_text(json.dumps(meta, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            os.replace(scratch, path)
        except OSError as error:
            scratch.unlink(missing_ok=True)
            raise Sim2RealError(f"'{path}' cannot be written: {error.strerror or error}.") from error

    def _address(self, mode: str = "rw") -> str:
        # Only a read-write connection clears SQLite's side files away when it closes.
        mode = mode if os.access(self.folder, os.W_OK) else "ro&immutable=1"
        return f"{self.path.absolute().as_uri()}?mode={mode}"

    @contextmanager
    def _open(self, mode: str = "rw") -> Iterator[sqlite3.Connection]:
        try:
            address = self._address(mode)
            with closing(sqlite3.connect(address, uri=True, timeout=30, isolation_level=None)) as db:
                yield db
        except sqlite3.Error as error:
            raise Sim2RealError(f"'{self.path}' cannot be used: {error}; it was left as it is.") from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._open() as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")  # an exception closes the connection before, which rolls back


def merge(out: str | Path, folders: Sequence[str | Path]) -> Store:
    """Bring the records of one study together from several folders, such as those of its shards.

    Args:
        out: The folder to add them to; it may be new, or one that holds part of the study.
        folders: The folders to read, in any order; they are left as they are.

    Raises:
        Sim2RealError: If the folders hold different studies, or one holds none; no record is written then.
    """
    stores = [Store(folder) for folder in folders]
    metas = [(store.folder, store.meta) for store in stores]
    with locked(out):
        target = Store.create(out)
        metas += [(target.folder, target.meta)] if target.meta else []
        for folder, meta in metas:
            if meta.get("keys") != metas[0][1].get("keys"):
                raise Sim2RealError(
                    f"'{folder}' and '{metas[0][0]}' hold different studies: their trials differ."
                )
        for store in stores:
            target.add_all(store)
        target.write_meta(metas[0][1] | _rehearsed([meta for _, meta in metas]))
    return target


def _rehearsed(metas: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what any of several runs of a study found not to repeat, as all of them say it."""
    told = [meta["rehearsal"] for meta in metas if meta.get("rehearsal")]
    findings = {json.dumps(finding): finding for one in told for finding in one["findings"]}
    return {"rehearsal": told[0] | {"findings": list(findings.values())}} if told else {}


def _select(columns: Iterable[str]) -> str:
    names = ", ".join(f'"{name}"' for name in columns)
    return f"SELECT {names} FROM records ORDER BY key"
