"""The words of the house: frozen values and the protocols between rooms. Imports nothing else of ours."""
