"""A local stand-in for the part of Zoho CRM that bulk write jobs touch.

A server of its own, on the loopback interface only: the token endpoint, job details, upload, create
and the result download, with a sample organisation and switches for everything that can go wrong.
``server.Sandbox`` runs it inside a process, ``manage.py sandbox`` on a terminal.
"""
