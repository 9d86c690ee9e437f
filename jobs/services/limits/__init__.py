"""Staying within what Zoho allows: API credits by the day, and calls at a time."""
