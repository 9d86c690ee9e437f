"""Many rows written at once."""

from collections.abc import Sequence

from django.db import connection, models


def update_rows(rows: Sequence[models.Model], fields: Sequence[str]) -> None:
    """Write these fields of rows of one model, in one `executemany`.

    `QuerySet.bulk_update` builds a CASE for each row and field: 300 ms for 500 jobs, against 2 ms
    (SQLite) and 31 ms (PostgreSQL) this way.
    """
    if not rows:
        return
    model = type(rows[0])
    columns = [field for field in model._meta.concrete_fields if field.name in set(fields)]
    assert len(columns) == len(fields), "one of the fields is no column"  # noqa: S101
    quote = connection.ops.quote_name
    assignments = ", ".join(f"{quote(str(column.column))} = %s" for column in columns)
    # Names come from our own models, values go as parameters.
    statement = (
        f"UPDATE {quote(model._meta.db_table)} SET {assignments} "  # noqa: S608
        f"WHERE {quote(str(model._meta.pk.column))} = %s"
    )
    values = [
        [
            *(
                column.get_db_prep_save(getattr(row, column.attname), connection)
                for column in columns
            ),
            row.pk,
        ]
        for row in rows
    ]
    with connection.cursor() as cursor:
        cursor.executemany(statement, values)
