"""Addresses of the pages."""

from django.urls import path

from jobs.views import (
    alerts,
    connection_callback,
    connection_forms,
    connections,
    downloads,
    health,
    hooks,
    id_checks,
    job_list,
    job_page,
    overview,
    reimport,
    result_care,
    result_rows,
    track,
)

app_name = "jobs"

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("jobs/", job_list.job_list, name="list"),
    path("jobs/refresh/", job_list.refresh_selected, name="refresh_selected"),
    path("jobs/track/", track.track, name="track"),
    path("jobs/track/states/", track.states, name="track_states"),
    path("jobs/track/checks/<int:pk>/", id_checks.id_check, name="id_check"),
    path(
        "jobs/track/checks/<int:pk>/register/",
        id_checks.id_check_register,
        name="id_check_register",
    ),
    path("jobs/track/checks/<int:pk>/stop/", id_checks.id_check_stop, name="id_check_stop"),
    path("jobs/track/checks/<int:pk>/go-on/", id_checks.id_check_go_on, name="id_check_go_on"),
    path("jobs/<int:pk>/", job_page.detail, name="detail"),
    path("jobs/<int:pk>/refresh/", job_page.refresh, name="refresh"),
    path("jobs/<int:pk>/remove/", job_page.remove, name="remove"),
    path("jobs/<int:pk>/snapshots/", job_page.snapshots, name="snapshots"),
    path("jobs/<int:pk>/snapshots/<int:snapshot_pk>/", job_page.snapshot_raw, name="snapshot_raw"),
    path("jobs/<int:pk>/result.zip", downloads.result_zip, name="result_zip"),
    path("jobs/<int:pk>/result/<int:position>.csv", downloads.result_csv, name="result_csv"),
    path("jobs/<int:pk>/skipped.csv", downloads.skipped_csv, name="skipped_csv"),
    path("jobs/<int:pk>/rows/", result_rows.rows, name="rows"),
    path("jobs/<int:pk>/rows.csv", downloads.rows_csv, name="rows_csv"),
    path("jobs/<int:pk>/summary.csv", downloads.summary_csv, name="summary_csv"),
    path("jobs/<int:pk>/reimport/", reimport.reimport, name="reimport"),
    path("jobs/<int:pk>/reimport/<int:position>.csv", reimport.reimport_csv, name="reimport_csv"),
    path(
        "jobs/<int:pk>/reimport/<int:position>/delete/",
        reimport.reimport_delete,
        name="reimport_delete",
    ),
    path("jobs/<int:pk>/result/delete/", result_care.result_delete, name="result_delete"),
    path("jobs/<int:pk>/pin/", result_care.pin, name="pin"),
    path("alerts/", alerts.alert_list, name="alerts"),
    path("alerts/<int:pk>/retry/", alerts.alert_retry, name="alert_retry"),
    path("alerts/test-mail/", alerts.test_mail, name="test_mail"),
    path("connections/", connections.connection_list, name="connections"),
    path("connections/add/", connection_forms.connection_add, name="connection_add"),
    path("connections/<int:pk>/", connections.connection, name="connection"),
    path("connections/<int:pk>/edit/", connection_forms.connection_edit, name="connection_edit"),
    path(
        "connections/<int:pk>/sign-in/",
        connection_forms.connection_sign_in,
        name="connection_sign_in",
    ),
    path(
        "connections/signed-in/",
        connection_forms.connection_signed_in,
        name="connection_signed_in",
    ),
    path("connections/<int:pk>/test/", connection_forms.connection_test, name="connection_test"),
    path("connections/<int:pk>/pause/", connection_forms.connection_pause, name="connection_pause"),
    path(
        "connections/<int:pk>/callback/",
        connection_callback.connection_callback,
        name="connection_callback",
    ),
    path(
        "connections/<int:pk>/callback/rotate/",
        connection_callback.connection_callback_rotate,
        name="connection_callback_rotate",
    ),
    path("hooks/zoho/<str:token>/", hooks.hook, name="hook"),
    # A loader may lose the last slash; a redirect would turn Zoho's POST into a GET.
    path("hooks/zoho/<str:token>", hooks.hook),
    path("banners/", health.banners, name="banners"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
]
