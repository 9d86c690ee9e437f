"""Signing in and out, being locked out, changing the password, and the pages of errors."""

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.template.loader import render_to_string
from django.test import Client, RequestFactory
from django.views.defaults import permission_denied

PASSWORD = "a long enough passphrase"
AWAY = "https://evil.example/"


@pytest.fixture
def anna(db):
    return User.objects.create_user("anna", "anna@example.com", PASSWORD)


def sign_in(client, password=PASSWORD, **more):
    return client.post("/accounts/login/", {"username": "anna", "password": password} | more)


@pytest.mark.parametrize("address", ["/", "/jobs/", "/alerts/", "/connections/"])
def test_a_stranger_gets_the_sign_in(client, db, address):
    assert client.get(address)["Location"] == f"/accounts/login/?next={address}"


def test_a_stranger_learns_of_an_unknown_page_that_it_is_unknown(client, db):
    response = client.get("/nowhere/else/")

    assert response.status_code == 404
    assert b"There is no such page" in response.content
    assert b"<nav" not in response.content


def test_the_sign_in_page_stands_alone(client, db):
    response = client.get("/accounts/login/")

    assert response.status_code == 200
    assert b"<nav" not in response.content
    assert b"<style" not in response.content
    assert b"style=" not in response.content
    assert "script-src 'self'" in response["Content-Security-Policy"]


def test_signing_in_leads_to_the_page_that_was_asked_for(client, anna):
    assert sign_in(client, next="/alerts/")["Location"] == "/alerts/"


def test_the_form_remembers_the_page_that_was_asked_for(client, db):
    page = client.get("/accounts/login/", {"next": "/alerts/?state=failed"}).content.decode()

    assert '<input type="hidden" name="next" value="/alerts/?state=failed">' in page
    assert "Sign in to go on to the page you asked for." in page


def test_signing_in_leads_to_no_other_host(client, anna):
    assert sign_in(client, next=AWAY)["Location"] == "/"


def test_another_host_is_not_even_named_in_the_form(client, db):
    response = client.get("/accounts/login/", {"next": AWAY})

    assert AWAY.encode() not in response.content


def test_a_wrong_password_is_said_and_the_password_not_repeated(client, anna):
    response = sign_in(client, "canary-password")

    assert response.status_code == 200
    assert b"correct username and password" in response.content
    assert b"canary-password" not in response.content


def test_after_ten_wrong_passwords_even_the_right_one_is_not_looked_at(client, anna):
    for _ in range(9):
        assert sign_in(client, "wrong").status_code == 200
    tenth = sign_in(client, "wrong")
    right = sign_in(client)

    for response in (tenth, right):
        assert response.status_code == 429
        assert b"Locked for a while" in response.content
        assert b"15 min" in response.content
    assert "_auth_user_id" not in client.session


def test_a_lock_is_for_one_name_from_one_address(client, anna):
    User.objects.create_user("bert", password=PASSWORD)
    for _ in range(10):
        sign_in(client, "wrong")

    elsewhere = Client(REMOTE_ADDR="203.0.113.9")

    assert sign_in(elsewhere).status_code == 302
    bert = client.post("/accounts/login/", {"username": "bert", "password": PASSWORD})
    assert bert.status_code == 302


def test_a_success_forgets_the_failures_before_it(client, anna):
    for _ in range(9):
        sign_in(client, "wrong")
    sign_in(client)
    client.logout()

    assert sign_in(client, "wrong").status_code == 200


def test_signing_out_says_so(client, anna):
    client.force_login(anna)

    response = client.post("/accounts/logout/", follow=True)

    assert response.redirect_chain == [("/accounts/login/?signed_out", 302)]
    assert b"You are signed out." in response.content
    assert "_auth_user_id" not in client.session


def test_a_link_cannot_sign_anybody_out(client, anna):
    client.force_login(anna)

    assert client.get("/accounts/logout/").status_code == 405
    assert "_auth_user_id" in client.session


def test_signing_out_after_the_session_has_expired_works_too(client, db):
    assert client.post("/accounts/logout/")["Location"] == "/accounts/login/?signed_out"


def test_a_form_sent_after_the_session_expired_leads_back_to_its_page(client, db):
    response = client.post(
        "/alerts/test-mail/", headers={"Referer": "http://testserver/alerts/?state=failed"}
    )

    # Not to /alerts/test-mail/, which answers no GET.
    assert response["Location"] == "/accounts/login/?next=/alerts/%3Fstate%3Dfailed"


@pytest.mark.parametrize(
    "referer", ["", "https://evil.example/x", "http://testserver//evil.example/", "http://[", "x:y"]
)
def test_a_form_from_elsewhere_leads_to_the_first_page(client, db, referer):
    response = client.post("/alerts/test-mail/", headers={"Referer": referer})

    assert response["Location"] == "/accounts/login/?next=/"


def test_changing_the_password_says_so_and_keeps_this_session(client, anna):
    client.force_login(anna)
    new = "an even longer passphrase"

    response = client.post(
        "/accounts/password/",
        {"old_password": PASSWORD, "new_password1": new, "new_password2": new},
        follow=True,
    )

    assert response.redirect_chain == [("/", 302)]
    assert b"Your password was changed." in response.content
    anna.refresh_from_db()
    assert anna.check_password(new)


def test_a_refused_password_is_explained_and_not_repeated(client, anna):
    client.force_login(anna)

    response = client.post(
        "/accounts/password/",
        {"old_password": PASSWORD, "new_password1": "canary1", "new_password2": "canary1"},
    )

    assert b"too short" in response.content
    assert b"canary1" not in response.content
    assert PASSWORD.encode() not in response.content


def test_an_unknown_page_is_told_in_the_site_for_those_signed_in(client, anna):
    client.force_login(anna)

    response = client.get("/no/such/page/")

    assert response.status_code == 404
    assert b"There is no such page" in response.content
    assert b"<nav" in response.content


def test_the_page_of_a_broken_server_needs_nothing():
    page = render_to_string("500.html")  # no `db` fixture: a query would fail

    assert "Something broke here" in page
    assert "style=" not in page


def test_a_view_that_breaks_gives_that_page(anna, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("canary-detail")

    monkeypatch.setattr("django.contrib.auth.views.LoginView.get_context_data", broken)
    client = Client(raise_request_exception=False)

    response = client.get("/accounts/login/")

    assert response.status_code == 500
    assert b"Something broke here" in response.content
    assert b"canary-detail" not in response.content


def test_a_host_that_is_not_ours_gets_the_page_that_says_so(client, db):
    response = client.get("/accounts/login/", headers={"Host": "evil.example"})

    assert response.status_code == 400
    assert b"This request was not understood" in response.content
    assert b"evil.example" not in response.content


def test_a_form_without_its_token_is_refused_in_words(anna):
    client = Client(enforce_csrf_checks=True)

    response = client.post("/accounts/login/", {"username": "anna", "password": PASSWORD})

    assert response.status_code == 403
    assert b"This form is too old" in response.content


def test_a_refusal_is_a_page_for_strangers_as_well(db):
    request = RequestFactory().get("/")
    request.user = AnonymousUser()

    response = permission_denied(request, PermissionDenied())

    assert response.status_code == 403
    assert b"You may not do this" in response.content
