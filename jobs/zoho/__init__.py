"""The only code that talks to Zoho CRM's Bulk Write API.

Import the modules, not this package: ``payloads`` (Zoho's JSON as dataclasses), ``errors`` (what
can go wrong and what to do about it), ``regions`` (data centres and their hosts), ``oauth`` (one
shared access token per connection), ``client`` (the calls) and ``result_files`` (the result ZIP).
"""
