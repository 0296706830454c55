"""An island: stand-ins that speak the real protocols over HTTP. It imports nothing else of ours."""
