"""How job ids get here: pastes, checks with Zoho before saving, callbacks."""
