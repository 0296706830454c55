"""MessageCloud (txtNation): messages and reports of its gateway, and one-click subscriptions by Strex in Norway."""
