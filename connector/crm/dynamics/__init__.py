"""Dynamics 365: one org, by the Dataverse Web API."""
