"""System checks: configuration mistakes, each with what to do about it."""
