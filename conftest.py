"""What every test may use; `jobs/tests/plugins/` says what each fixture does."""

pytest_plugins = [
    "jobs.tests.plugins.background",
    "jobs.tests.plugins.browser",
    "jobs.tests.plugins.stand_in_org",
]
