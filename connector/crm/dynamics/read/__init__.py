"""The feed, descriptions and the doctor: what only reads."""
