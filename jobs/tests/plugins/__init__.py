"""Plugins that pytest loads by name (`-p`) before it reads the settings."""
