"""The administration pages: what is stored can be read there, but no secret, and not changed."""

from datetime import timedelta

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.utils import timezone

from jobs.models import Heartbeat, JobEvent, Resource, SharedToken
from jobs.tests.factories import completed, make_connection, make_job, observe

MODELS = [model._meta.model_name for model in apps.get_app_config("jobs").get_models()]


@pytest.fixture
def superuser(client, db):
    client.force_login(User.objects.create_superuser("root", password="x"))
    return client


@pytest.fixture
def rows(db):
    """One row and more of most models; each secret begins with "canary"."""
    job = make_job(make_connection(client_secret="canary-1", refresh_token="canary-2"))
    observe(job, completed(job, added=1, updated=0, skipped=0, total=1))
    now = timezone.now()
    SharedToken.objects.create(
        key="connection-1:abc:token", value="canary-3", expires_at=now + timedelta(hours=1)
    )
    Heartbeat.note(Heartbeat.WORKER, now)
    JobEvent.objects.create(job=job, at=now, kind=JobEvent.Kind.TRACKED)


def test_every_model_is_there():
    assert {model._meta.model_name for model in admin.site._registry} >= set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_lists_and_rows_open_and_hold_no_secret(superuser, rows, name):
    model = apps.get_model("jobs", name)
    addresses = [f"/admin/jobs/{name}/", f"/admin/jobs/{name}/?q=x"]
    addresses += [f"/admin/jobs/{name}/{row.pk}/change/" for row in model.objects.all()]

    for address in addresses:
        response = superuser.get(address, follow=True)
        assert response.status_code == 200
        assert b"canary" not in response.content
        assert b"gAAAA" not in response.content  # how what is encrypted begins


@pytest.mark.parametrize("name", MODELS)
def test_nothing_can_be_changed_added_or_removed(superuser, rows, name):
    model = apps.get_model("jobs", name)
    before = model.objects.count()

    assert superuser.get(f"/admin/jobs/{name}/add/").status_code == 403
    for row in model.objects.all():
        assert superuser.post(f"/admin/jobs/{name}/{row.pk}/change/", {}).status_code == 403
        assert superuser.post(f"/admin/jobs/{name}/{row.pk}/delete/", {}).status_code == 403
    superuser.post(f"/admin/jobs/{name}/", {"action": "delete_selected", "_selected_action": "1"})

    assert model.objects.count() == before


def test_secrets_that_no_key_opens_do_not_matter_here(superuser, rows, settings):
    settings.ENCRYPTION_KEYS = ["b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXItb3Q="]

    assert superuser.get("/admin/jobs/connection/").status_code == 200
    assert superuser.get("/admin/jobs/sharedtoken/").status_code == 200


def test_the_list_of_jobs_costs_the_same_with_many(superuser, rows, django_assert_max_num_queries):
    for _ in range(5):
        Resource.objects.create(job=make_job(), position=0)
    # session, user, count, rows, twice the connections to filter by; heartbeats and connections,
    # as for every page
    with django_assert_max_num_queries(8):
        superuser.get("/admin/jobs/bulkwritejob/")


def test_people_without_the_right_are_kept_out(client, db, rows):
    client.force_login(User.objects.create_user("viewer", password="x"))

    assert client.get("/admin/jobs/connection/").status_code == 302
