"""Clients of a server on this machine, and what they are answered."""

from jobs.tests.zoho.support import JOB_ID, FixedTokens
from jobs.zoho.client import BulkWriteClient
from jobs.zoho.regions import region_for

DETAILS_URL = f"https://www.zohoapis.com/crm/bulk/v7/write/{JOB_ID}"


def envelope(code):
    return {"code": code, "details": {}, "message": "said", "status": "error"}


def local(server, tokens=None, **options):
    region = region_for("custom", api_url=server.url, accounts_url=server.url)
    return BulkWriteClient(region=region, tokens=tokens or FixedTokens(), **options)
