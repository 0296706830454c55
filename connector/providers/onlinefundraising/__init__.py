"""OnlineFundraising (Denmark): received messages in, the account's keywords, and what was missed. Nothing here does I/O."""
