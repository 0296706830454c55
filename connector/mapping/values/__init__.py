"""Values of an event, and their conversion for a CRM."""
