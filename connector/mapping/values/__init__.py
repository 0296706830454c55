"""Values of an event, and what is made of them for a CRM."""
