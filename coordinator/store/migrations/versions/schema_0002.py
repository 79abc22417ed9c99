"""Schema 0002: agents' keys and invitations, and how a task is to be run.

Rules: frozen once released; a later change of schema.py has its own migration.
"""

import sqlalchemy as sa
from alembic import op

from osbench.coordinator.store.column_types import LONG_TEXT, NUMBER, words

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add two tables, and a column to one.

    The column may be empty: so SQLite adds it in place. Making the table anew would drop the old one, and with it, by
    their foreign keys, all runs.
    """
    op.create_table(
        "agent_keys",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("public_key", words(64), nullable=False),
        sa.Column("name", words(128), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("revoked_ns", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_agent_keys")),
        sa.UniqueConstraint("public_key", name=op.f("uq_agent_keys_public_key")),
    )
    op.create_index(op.f("ix_agent_keys_name"), "agent_keys", ["name"], unique=False)
    op.create_table(
        "invites",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("digest", words(64), nullable=False),
        sa.Column("name", words(128), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("expires_ns", sa.BigInteger(), nullable=False),
        sa.Column("used_key", words(64), nullable=False),
        sa.Column("used_ns", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_invites")),
        sa.UniqueConstraint("digest", name=op.f("uq_invites_digest")),
    )
    op.add_column("tasks", sa.Column("options", LONG_TEXT, nullable=True))
