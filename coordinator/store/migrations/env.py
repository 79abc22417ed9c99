"""How Alembic runs the migrations: on the connection it is handed, within the transaction that is open on it."""

from alembic import context

from osbench.coordinator.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
