"""The stages of the flow, one file each, between the pure packages and the store. pipeline.py calls them in their order."""
