"""Compares rows that etl-host wrote, as JSON lines, with those of a DuckDB query over the same CSV file, in order.

    compare.py INPUT.csv OUTPUT.jsonl QUERY.sql

The query reads a view `trades`. Floats may differ in the last digits, since sums are made in another order; all else must be equal.
"""

import datetime
import decimal
import json
import math
import sys

import duckdb

source, output, query = sys.argv[1:]
connection = duckdb.connect()
connection.execute("SET TimeZone = 'UTC'")
connection.execute(
    f"""CREATE VIEW trades AS SELECT * FROM read_csv('{source}', header = true, columns = {{
        'id': 'BIGINT', 'ts': 'TIMESTAMP', 'symbol': 'VARCHAR', 'venue': 'VARCHAR', 'price': 'DOUBLE', 'amount': 'DECIMAL(18,4)',
        'size': 'BIGINT', 'note': 'VARCHAR'}})"""
)


def normal(value):
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=datetime.timezone.utc)
    return value


def same(found, wanted):
    if isinstance(wanted, datetime.datetime):
        return isinstance(found, str) and datetime.datetime.fromisoformat(found) == wanted
    if isinstance(wanted, float):
        return found is not None and math.isclose(float(found), wanted, rel_tol=1e-9, abs_tol=1e-12)
    if isinstance(wanted, decimal.Decimal):
        return found is not None and decimal.Decimal(str(found)) == wanted
    return found == wanted


cursor = connection.execute(open(query).read())
names = [column[0] for column in cursor.description]
rows = 0
with open(output) as lines:
    while True:
        line, wanted = lines.readline(), cursor.fetchone()
        if not line and wanted is None:
            break
        found = json.loads(line, parse_float=decimal.Decimal) if line else None
        wanted = dict(zip(names, map(normal, wanted))) if wanted is not None else None
        if found is None or wanted is None:
            sys.exit(f"row {rows + 1}: found {found}, wanted {wanted}")
        if list(found) != names or not all(same(found[name], wanted[name]) for name in names):
            sys.exit(f"row {rows + 1} differs:\n  found  {found}\n  wanted {wanted}")
        rows += 1
print(rows)
