"""A Dynamics 365 org (Dataverse) for tests: the real Web API on loopback, with an org's rules and faults."""
