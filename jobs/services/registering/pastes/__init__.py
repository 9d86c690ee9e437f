"""What stands in a paste: values, tables, lines. Pure: no clock, no database, no network."""
