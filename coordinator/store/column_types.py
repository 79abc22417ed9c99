"""Types of columns that hold and compare the same in every database.

Rules: frozen, for released migrations make tables with them; another type gets another name. Words compare and sort by
their code points everywhere, as in SQLite: "a", "A" and "a " are three names.
"""

from typing import Any

from sqlalchemy import BigInteger, Integer, LargeBinary, String, Text
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeEngine

_MARIADB: dict[str, Any] = {"charset": "utf8mb4", "collation": "utf8mb4_nopad_bin"}

#: SQLite numbers rows by itself only where the key is INTEGER.
NUMBER: TypeEngine[int] = BigInteger().with_variant(Integer(), "sqlite")
#: MariaDB's BLOB ends at 64 kB.
BLOB: TypeEngine[bytes] = LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")
#: MariaDB's TEXT ends at 64 kB.
LONG_TEXT: TypeEngine[str] = Text().with_variant(mysql.LONGTEXT(**_MARIADB), "mysql", "mariadb")


def words(length: int) -> TypeEngine[str]:
    """Text of at most so many characters, which may be a key."""
    return (
        String(length)
        .with_variant(mysql.VARCHAR(length, **_MARIADB), "mysql", "mariadb")
        .with_variant(postgresql.VARCHAR(length, collation="C"), "postgresql")
    )
