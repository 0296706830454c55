"""OnlineFundraising (Denmark): received messages, the account's keywords, and missed messages. Nothing here does I/O."""
