"""Work in the org: columns, keys and the event table, and filling the keys of existing contacts."""
