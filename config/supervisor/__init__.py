"""The supervisor behind `manage.py up`: the whole product on one machine, and nothing left after.

`prepare` readies the folder and the database, `parts` says what runs and how to tell that it is
ready, `processes` starts, watches and stops it, `watchdog` cleans up after a supervisor that died.
"""
