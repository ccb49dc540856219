"""What stands in the schema of a ledger that this program has made: one with anything else in it is not obeyed.

A trigger, a view or a changed table makes of a plain write whatever its author wanted. So the schema is looked at before
the first row is read, and without SQLAlchemy.
"""

import hashlib
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from batchctl.domain.errors import LedgerProblem

# Of each table of today's schema: its columns in their order, with types, keys and defaults, and its unique keys. The second
# is of a table that migrations have brought up to date: it has defaults, and new columns last. The third was made at once by
# an older version, and has columns that were added since.
TABLES = {
    "alembic_version": ("22e6a066671e8790",),
    "batch": ("76b11439df122c46", "58ae5f5ad8e5515a", "86f2e8e97d950822"),
    "failure": ("f6ecc1e817b2e268",),
    "job": ("120b1ee3d97716c0", "985a96115102e87d", "8a1d5d1201fb6f4c"),
    "move": ("2b8bcfd29d0e6c7d",),
    "place": ("4dd8011e7db95baf",),
    "presumed": ("498b7e2c12fcd79d",),
    "round": ("62dae56709360de9",),
    "stranger": ("90b3e07a45de98bd",),
    "surplus": ("930f172559a56eb8", "082186671b9cad9d"),
    "usage": ("e3600d0dbd151f8c",),
}
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


def refuse_strange(path: Path, connection: sqlite3.Connection, *, is_newest: bool) -> None:
    """Raises LedgerProblem for what no version of this program makes. `is_newest`: the tables are those of today."""
    if strange := next(_strange(connection, is_newest=is_newest), ""):
        raise LedgerProblem(
            f"the ledger {path} holds what batchctl does not make: {strange}; nothing was read or changed",
            hint=f"if {path.parent} came with a repository or from somebody else, name a folder of your own: --workspace DIR;"
            " if you added it yourself, remove it with sqlite3",
        )


def _strange(connection: sqlite3.Connection, *, is_newest: bool) -> Iterator[str]:
    objects = connection.execute(_OBJECTS).fetchall()
    for kind, name, table, sql in objects:
        if kind == "table" and name not in TABLES and not name.startswith(OWN):
            yield f"the table {_shown(name)}"
        elif kind == "index" and not name.startswith(OWN) and INDEXES.get(name) != _bare(sql):
            yield f"the index {_shown(name)} on {_shown(table)}"
        elif kind not in {"table", "index"}:
            yield f"the {kind} {_shown(name)} on {_shown(table)}"
        elif kind == "table" and name in TABLES and (clause := _CLAUSES.search(sql)):
            yield f"{clause[0].upper()} in the table {_shown(name)}"
    if is_newest:
        made = digests(connection)
        for table, known in TABLES.items():
            if made.get(table) not in known:
                yield f"other columns or keys in the table {table}"


def digests(connection: sqlite3.Connection) -> dict[str, str]:
    """Of the columns of each table and its unique keys, whatever its SQL looks like."""
    columns: defaultdict[str, list[list[object]]] = defaultdict(list)
    keys: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for table, *column, default in connection.execute(_COLUMNS):
        columns[table].append([*column, _bare(default)])
    for table, index, column in connection.execute(_KEYS):
        keys[table][index].append(column)
    return {
        table: _digest(of, sorted(keys[table].values())) for table, of in columns.items() if not table.startswith(OWN)
    }


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _bare(sql: str | None) -> str:
    """Without spaces and quotes, of which versions of SQLite and SQLAlchemy write more or fewer."""
    return re.sub(r"[\s\"'`\[\]]", "", sql or "").lower()


def _shown(name: str) -> str:
    return repr(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}...")
