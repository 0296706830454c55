"""The two HTTP listeners: webhooks for providers, admin for the operator. The application has no other servers."""
