"""The parts of the road's steps, between the pure rooms and the store. The order in which they run is told in pipeline.py."""
