"""A stand-in for Twilio: sends signed webhooks to the daemon and keeps opt-outs; shares no code with the adapter that it tests."""
