"""The command line. Modules here import nothing heavy at their top: `connector --help` must answer at once."""
