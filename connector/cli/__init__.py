"""The command line. Modules here import nothing heavy at the top, so that `connector --help` responds at once."""
