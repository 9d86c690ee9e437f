"""Connections to Zoho orgs: signing in, testing, how each is doing, their secrets."""
