"""The product's addresses, and the trivial view that its pages are compared with."""

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import path

from config.urls import urlpatterns as product


def trivial(request: HttpRequest) -> HttpResponse:
    """A signed-in page of ten lines, from no query of its own."""
    return HttpResponse(render_to_string("benchmark_trivial.html", {"path": request.path}))


urlpatterns = [path("benchmark/trivial/", trivial), *product]
