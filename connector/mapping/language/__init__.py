"""The language of mapping files: what may be written in one."""
