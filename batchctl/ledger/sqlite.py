"""The database of the ledger: here, and only here, stands what SQLite has of its own.

The other modules of this room build statements of SQLAlchemy Core that any database understands, and run them on a connection
that `SqliteDatabase.read` or `SqliteDatabase.write` gives them. They take `database_at`, `SqliteDatabase` and `insert_new` from
here, and nothing else. PostgreSQL would be a class with the same methods in a file beside this one, with its own `insert_new`.
"""

import contextlib
import hashlib
import re
import secrets
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import sqlite

from batchctl.domain.errors import LedgerProblem
from batchctl.domain.places import Place
from batchctl.ledger import schema
from batchctl.ledger.machine import machine
from batchctl.ledger.schema import HEAD, REVISIONS

# SQLite before 3.51.3 can corrupt a WAL database when two connections checkpoint at the same instant (the WAL-reset bug).
WAL_IS_SAFE_SINCE = (3, 51, 3)
DAMAGE_SHOWN = 3


def journal_mode(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> str:
    """Return the journal mode that this version of SQLite keeps safe."""
    return "WAL" if version >= WAL_IS_SAFE_SINCE else "PERSIST"


# A reader takes the journal as it is: to change it would be to write, in a folder that may only be read.
# A schema that was made elsewhere may call no function that does more than compute.
TO_READ = ("trusted_schema=OFF",)
TO_WRITE = (*TO_READ, f"journal_mode={journal_mode()}", "synchronous=FULL", "foreign_keys=ON")


def database_at(path: Path) -> "SqliteDatabase":
    """Return the database of the ledger at `path`; nothing is opened yet."""
    return SqliteDatabase(path)


class SqliteDatabase:
    """The ledger in a SQLite file, behind one engine.

    Attributes:
        engine: The engine. Its connections may be used by several threads in turn.
        revision: How far the ledger was migrated, once it was checked; None where no table is made yet.
    """

    def __init__(
        self,
        path: Path,
        *,
        busy_seconds: float = 30.0,
        must_exist: bool = False,
        problem: Callable[[Path, str], LedgerProblem] | None = None,
    ) -> None:
        """Prepare the engine; nothing is opened yet.

        Args:
            path: The file. SQLite makes an empty one where there is none.
            busy_seconds: How long a statement waits for another process that is writing.
            must_exist: Whether a missing file is an error.
            problem: What becomes of an error of SQLite, by the path and SQLite's message.
        """
        self.revision: str | None = None
        self._path = path
        self._problem = problem or _problem
        self._pragmas: tuple[str, ...] = TO_READ
        # Not as text: a `?` or `#` in the name of a folder would end the path.
        url = sa.URL.create("sqlite", database=str(path))
        if must_exist:
            url = sa.URL.create("sqlite", database=path.absolute().as_uri(), query={"mode": "rw", "uri": "true"})
        # Transactions begin with our own BEGIN: the driver must open none.
        driver = {"isolation_level": None, "timeout": busy_seconds, "check_same_thread": False}
        self.engine = sa.create_engine(url, connect_args=driver, pool_size=8, max_overflow=8, pool_use_lifo=True)
        event.listen(self.engine, "connect", self._on_connect)
        event.listen(self.engine, "begin", _on_begin)

    def open(self, *, writes: bool) -> None:
        """Check the schema and set the connections up. Nothing of a ledger that is refused changes, not even its journal.

        Args:
            writes: Whether the caller writes, so that journal and synchronization are set for it.

        Raises:
            LedgerProblem: It cannot be used, a newer program wrote it, or its schema is none of ours.
        """
        try:
            self.check()
            if writes:
                self._pragmas = TO_WRITE
                # On the connection that was checked: while another one reads, the journal cannot be changed.
                with self.read() as db:
                    _set_up(driver_of(db), TO_WRITE)
        except BaseException:
            self.close()
            raise

    def check(self, *, accepts_newer: bool = False) -> None:
        """Read the revision, and compare the schema with those that this program makes.

        Raises:
            LedgerProblem: It cannot be read, a newer program wrote it, or it has tables, columns, keys or triggers that no
                version of the program makes.
        """
        # From one instant: another process may bring it up to date meanwhile.
        with self.read() as db:
            db.begin()
            self.revision = _stored_revision(driver_of(db))
            if self.revision not in {None, *REVISIONS} and not accepts_newer:
                raise LedgerProblem(
                    f"the ledger {self._path} was written by a newer batchctl"
                    f" (schema {self.revision}, this one knows {HEAD})",
                    hint="upgrade batchctl; nothing was changed",
                )
            _refuse_strange(self._path, driver_of(db), is_newest=self.revision == HEAD)

    def close(self) -> None:
        """Close all connections that are not in use."""
        self.engine.dispose()

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Give a connection whose statements are all answered from one instant."""
        with self._translated(), self.engine.connect() as db:
            yield db

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Give a connection in a transaction that excludes all other writers, and commit it at the end.

        An exception rolls it back.
        """
        with self._translated(), self.engine.connect().execution_options(write=True) as db, db.begin():
            yield db

    def bring_up_to_date(self) -> None:
        """Make the tables in an empty database, or migrate those of an older version, in one transaction.

        Raises:
            LedgerProblem: Other tables would come of it than any version makes; then nothing is done.
        """
        with self.write() as db:
            if driver_of(db).execute("SELECT 1 FROM sqlite_master").fetchone():
                _migrate(db)
            else:
                _make(db)
            _refuse_strange(self._path, driver_of(db), is_newest=True)
        self.revision = HEAD

    def damage(self) -> tuple[str, ...]:
        """Return the first faults that SQLite finds in its file; none where it is sound."""
        with self.read() as db:
            rows = driver_of(db).execute(f"PRAGMA quick_check({DAMAGE_SHOWN})").fetchall()
        return tuple(row[0] for row in rows if row[0] != "ok")

    def journal(self) -> str:
        """Return the journal mode of the file."""
        with self.read() as db:
            return str(driver_of(db).execute("PRAGMA journal_mode").fetchone()[0])

    def place(self) -> Place:
        """Return where the file lies now."""
        file = self._path.stat()
        return Place(machine=machine(), path=str(self._path.resolve()), device=file.st_dev, inode=file.st_ino)

    def _on_connect(self, connection: sqlite3.Connection, _: Any) -> None:
        _set_up(connection, self._pragmas)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn SQLite's errors, as they are or as SQLAlchemy wraps them, into a LedgerProblem."""
        try:
            yield
        except sa.exc.DatabaseError as error:
            raise self._problem(self._path, str(error.orig)) from error
        except sqlite3.DatabaseError as error:
            raise self._problem(self._path, str(error)) from error


def _problem(path: Path, reason: str) -> LedgerProblem:
    hint = "check the permissions of the file and the free disk space, then run the same command again"
    if "not a database" in reason or "malformed" in reason:
        hint = (
            f"the file is damaged: restore a copy. Without a copy, move {path.parent} away and attach the API's"
            " batches with --input before you submit again: otherwise you pay twice"
        )
    elif "locked" in reason:
        hint = "another batchctl process is writing: run the same command again"
    return LedgerProblem(f"the ledger {path} cannot be used: {reason}", hint=hint)


def insert_new(db: sa.Connection, table: sa.Table, values: dict[str, Any]) -> None:
    """Insert a row, unless there is one of the same key."""
    db.execute(sqlite.insert(table).on_conflict_do_nothing().values(values))


def driver_of(connection: sa.Connection) -> sqlite3.Connection:
    """Return the driver's connection, for what SQLAlchemy has no words for."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection), "the engine is SQLite's"
    return driver


def _set_up(connection: sqlite3.Connection, pragmas: tuple[str, ...]) -> None:
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}").close()


def _on_begin(connection: sa.Connection) -> None:
    is_write = connection.get_execution_options().get("write", False)
    driver_of(connection).execute("BEGIN IMMEDIATE" if is_write else "BEGIN").close()


def _stored_revision(connection: sqlite3.Connection) -> str | None:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


# ---------------------------------------------------------------- making and migrating


def _make(connection: sa.Connection) -> None:
    """Make what all migrations would make, twenty times as fast."""
    schema.metadata.create_all(connection, checkfirst=False)
    first_place = {"workspace_id": secrets.token_hex(16), "salt": secrets.token_hex(16)}
    nowhere = {"machine": "", "path": "", "device": 0, "inode": 0, "generation": 0}
    connection.execute(sa.insert(schema.place_table).values(**first_place, **nowhere))
    connection.exec_driver_sql(
        "CREATE TABLE alembic_version"
        " (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
    )
    connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (HEAD,))


def _migrate(connection: sa.Connection) -> None:
    # Alembic costs a quarter of a second to import, so it is imported only when there is something to do.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    settings.attributes["connection"] = connection
    command.upgrade(settings, "head")


# ---------------------------------------------------------------- the structure of the schema

# A trigger, a view or a changed table could turn a plain write into whatever its author wanted. So the schema is compared
# with those that this program makes before the first row is read.

# For each table of the newest schema: digests of its columns in their order, with types, keys and defaults, and of its unique
# keys. The first digest is of a table that was made at once. A table that migrations brought up to date has defaults, and its
# new columns last; how many columns those are depends on the version that made it.
TABLES = {
    "alembic_version": ("22e6a066671e8790",),
    "batch": (
        "1e6d4bcf11dca5b6",
        "37211f86c441b5cf",
        "3f8c76f550de3b31",
    ),
    "duplicate_batch": (
        "8131a7caf09c3462",
        "e3fcb9e17a81d902",
    ),
    "failure": ("f6ecc1e817b2e268",),
    "foreign_batch": ("90b3e07a45de98bd",),
    "job": (
        "2471747a8be1b401",
        "50cf56b5521bdeba",
        "73bed6ec4305fe9c",
        "ef6ca29c4468be17",
    ),
    "move": ("2b8bcfd29d0e6c7d",),
    "notification": ("c7e80ad075874f67",),
    "notify_target": ("36b4acdd77754dfe",),
    "place": ("4dd8011e7db95baf",),
    "presumed_not_created": ("498b7e2c12fcd79d",),
    "round": ("b546b6c2b7841f46",),
    "usage": ("e3600d0dbd151f8c",),
}
# The names of tables before revision 0008.
OLD_TABLES = frozenset({"presumed", "stranger", "surplus"})
INDEXES = {"ix_batch_state": "createindexix_batch_stateonbatch(job_id,state)"}
# Made by SQLite itself, for unique keys and by ANALYZE. Nobody else can make a name that begins so.
OWN = "sqlite_"
# Clauses that none of our tables has, and that change what a write does.
_CLAUSES = re.compile(r"\b(as|check|collate|conflict|deferrable|generated|on|strict|without)\b", re.IGNORECASE)
_SHOWN = 60

_OBJECTS = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
_COLUMNS = """
SELECT t.name, c.name, c.type, c."notnull", c.pk, c.hidden, c.dflt_value
FROM sqlite_master t JOIN pragma_table_xinfo(t.name) c WHERE t.type = 'table' ORDER BY t.name, c.cid
"""
_KEYS = """
SELECT t.name, i.name, c.name FROM sqlite_master t JOIN pragma_index_list(t.name) i JOIN pragma_index_info(i.name) c
WHERE t.type = 'table' AND i."unique" ORDER BY t.name, i.name, c.seqno
"""


def _refuse_strange(path: Path, connection: sqlite3.Connection, *, is_newest: bool) -> None:
    if strange := next(_strange(connection, is_newest=is_newest), ""):
        raise LedgerProblem(
            f"the ledger {path} holds something that batchctl does not create: {strange}; nothing was read or changed",
            hint=f"if {path.parent} came from somebody else, use your own workspace: --workspace DIR;"
            " if you added it yourself, remove it with sqlite3",
        )


def _strange(connection: sqlite3.Connection, *, is_newest: bool) -> Iterator[str]:
    tables = TABLES.keys() | (frozenset() if is_newest else OLD_TABLES)
    for kind, name, table, sql in connection.execute(_OBJECTS).fetchall():
        if kind == "table" and name not in tables and not name.startswith(OWN):
            yield f"the table {_shown(name)}"
        elif kind == "index" and not name.startswith(OWN) and INDEXES.get(name) != _bare(sql):
            yield f"the index {_shown(name)} on {_shown(table)}"
        elif kind not in {"table", "index"}:
            yield f"the {kind} {_shown(name)} on {_shown(table)}"
        elif kind == "table" and name in tables and (clause := _CLAUSES.search(sql)):
            yield f"{clause[0].upper()} in the table {_shown(name)}"
    if is_newest:
        made = digests(connection)
        for table, known in TABLES.items():
            if made.get(table) not in known:
                yield f"other columns or keys in the table {table}"


def digests(connection: sqlite3.Connection) -> dict[str, str]:
    """Return a digest of the columns and unique keys of each table, whatever its SQL looks like."""
    columns: defaultdict[str, list[list[object]]] = defaultdict(list)
    keys: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for table, *column, default in connection.execute(_COLUMNS):
        columns[table].append([*column, _bare(default)])
    for table, index, column in connection.execute(_KEYS):
        keys[table][index].append(column)
    return {
        table: hashlib.sha256(repr((described, sorted(keys[table].values()))).encode()).hexdigest()[:16]
        for table, described in columns.items()
        if not table.startswith(OWN)
    }


def _bare(sql: str | None) -> str:
    """Remove spaces and quotes, of which versions of SQLite and SQLAlchemy write more or fewer."""
    return re.sub(r"[\s\"'`\[\]]", "", sql or "").lower()


def _shown(name: str) -> str:
    return repr(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}...")
