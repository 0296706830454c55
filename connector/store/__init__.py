"""The only package that uses the database: one SQLite file, one writer thread, read-only readers."""
