"""The only room with the database: one SQLite file, one writer thread, readers that cannot write."""
