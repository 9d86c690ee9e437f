"""The list of jobs: filters, sorting, pages, all of it in the address."""

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import F, QuerySet
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.functional import cached_property
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from jobs.forms.jobs import OPERATIONS, SORTS, JobFilterForm
from jobs.models import BulkWriteJob, Connection, Outcome
from jobs.services.observing import polling, waiting
from jobs.views.requests import HtmxHttpRequest, way_back

PAGE_SIZE = 50
MOST_REFRESHED = 500

# (key of the sort, heading, class of the column)
COLUMNS = (
    ("job", "Job", "name"),
    ("outcome", "Outcome", ""),
    ("module", "Module", ""),
    ("operation", "Operation", "fold-lg"),
    ("rows", "Rows", "n"),
    ("skipped", "Skipped", "n"),
    ("changed", "Changed", "fold-md"),
    ("registered", "Registered", "fold-lg"),
)
# What is best seen with its largest first.
DESCENDING_FIRST = {"rows", "skipped", "changed", "registered"}


class CountedPaginator(Paginator):
    """A paginator that is told how many rows there are, where that is known already."""

    def __init__(self, rows: QuerySet[BulkWriteJob], size: int, *, known_count: int) -> None:
        super().__init__(rows, size)
        self.known_count = known_count

    @cached_property
    def count(self) -> int:
        return self.known_count


@require_safe
@vary_on_headers("HX-Request")
def job_list(request: HtmxHttpRequest) -> HttpResponse:
    names = list(Connection.objects.values_list("name", flat=True))
    form = JobFilterForm(request.GET, connection_names=names)
    asked = form.read()

    matching = _matching(asked)
    chosen = asked["outcome"]
    with_attention = matching.needing_attention() if asked["attention"] else matching
    outcome_counts = with_attention.outcome_counts()
    total = sum(outcome_counts[name] for name in chosen or Outcome.values)
    jobs = with_attention.filter(outcome__in=chosen) if chosen else with_attention
    page = CountedPaginator(
        _sorted(jobs, asked["sort"]).lean(), PAGE_SIZE, known_count=total
    ).get_page(request.GET.get("page"))
    rows = list(page.object_list)

    context = {
        "asked": asked,
        "ignored": form.ignored,
        "connection_names": names,
        "operations": OPERATIONS,
        "page": page,
        "jobs": rows,
        "total": total,
        "outcome_pills": _pills(request.GET, outcome_counts, chosen),
        "all_count": sum(outcome_counts.values()),
        "attention_count": matching.needing_attention().count(),
        "columns": _headings(asked["sort"]),
        "is_filtered": any(asked[name] for name in asked if name != "sort"),
        "is_live": any(job.is_live for job in rows),
    }
    template = "jobs/_job_table.html" if request.htmx else "jobs/job_list.html"
    return render(request, template, context)


@require_POST
def refresh_selected(request: HtmxHttpRequest) -> HttpResponse:
    """Have the chosen jobs of a page asked about at the next tick."""
    pks = [pk for pk in request.POST.getlist("job") if pk.isdecimal() and len(pk) < 19]
    chosen = BulkWriteJob.objects.filter(pk__in=pks[:MOST_REFRESHED])
    jobs = list(chosen.select_related("connection"))
    if jobs:
        polling.make_due(jobs, actor=request.user)
        why_not = waiting.why_not_about(jobs, timezone.now())
        asked = sum(job.connection_id not in why_not for job in jobs)
        if asked:
            what = "1 job" if asked == 1 else f"{asked:,} jobs"
            messages.success(request, f"Zoho is being asked about {what} now.")
        for said in why_not.values():
            messages.warning(request, f"Not asked now. {said}")
    else:
        messages.warning(request, "Choose the jobs to refresh first.")
    return redirect(way_back(request, "jobs:list"))


def _matching(asked: dict[str, Any]) -> Any:
    """Jobs that fit all filters but the outcome, by which they are counted."""
    jobs = BulkWriteJob.objects.all()
    if asked["q"]:
        jobs = jobs.searched(asked["q"])
    if asked["connection"]:
        jobs = jobs.filter(connection__name=asked["connection"])
    if asked["operation"]:
        jobs = jobs.filter(operation__iexact=asked["operation"])
    if asked["module"]:
        jobs = jobs.of_module(asked["module"])
    if asked["found"]:
        jobs = jobs.filter(found_by=asked["found"])
    if asked["since"] or asked["until"]:
        jobs = jobs.ended_between(asked["since"], asked["until"])
    return jobs


def _sorted(jobs: Any, sort: str) -> Any:
    """Sorted by a key of `SORTS`, what is unknown last, and always in the same order."""
    key = F(SORTS[sort.removeprefix("-")])
    if SORTS[sort.removeprefix("-")] == "pk":
        return jobs.order_by("-pk" if sort.startswith("-") else "pk")
    order = key.desc(nulls_last=True) if sort.startswith("-") else key.asc(nulls_last=True)
    return jobs.order_by(order, "-pk")


def _pills(
    asked: QueryDict, counts: dict[str, int], chosen: Sequence[str]
) -> list[tuple[Outcome, int, bool, str]]:
    """Each outcome with its number of jobs, whether it is chosen, and the address of its change."""
    pills = []
    for outcome in Outcome:
        following = [name for name in chosen if name != outcome]
        if outcome not in chosen:
            following.append(outcome.value)
        address = asked.copy()
        address.pop("page", None)
        address.setlist("outcome", following)
        pills.append((outcome, counts[outcome], outcome in chosen, f"?{address.urlencode()}"))
    return pills


def _headings(sort: str) -> list[dict[str, str]]:
    headings = []
    for key, label, css_class in COLUMNS:
        is_sorted = sort.removeprefix("-") == key
        if is_sorted:
            following = key if sort.startswith("-") else f"-{key}"
        else:
            following = f"-{key}" if key in DESCENDING_FIRST else key
        headings.append(
            {
                "key": key,
                "label": label,
                "css_class": css_class,
                "sort": following,
                "direction": ("descending" if sort.startswith("-") else "ascending")
                if is_sorted
                else "",
            }
        )
    return headings
