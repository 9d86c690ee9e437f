"""Asking Zoho about jobs: which are due, who asks, what the answers change, when to ask again."""
