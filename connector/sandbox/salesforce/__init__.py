"""A Salesforce org for tests: the real REST protocol over plain HTTP, with an org's rules and faults."""
