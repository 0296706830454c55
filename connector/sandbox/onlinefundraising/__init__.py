"""A stand-in for OnlineFundraising that uses its documented protocol over HTTP; shares no code with the adapter that it tests."""
