"""What every view gets, for those who read and check its type."""

from django.contrib.auth.models import User
from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails


class HtmxHttpRequest(HttpRequest):
    """A request as views get it: somebody is signed in, and `django_htmx` has looked at it."""

    user: User
    htmx: HtmxDetails
