"""What is stored, for support and repair: to be read, never changed, and without any secret."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from jobs.models import (
    Alert,
    BulkWriteJob,
    CallSlot,
    CheckedId,
    Connection,
    CreditUse,
    EncryptedTextField,
    FieldMapping,
    Heartbeat,
    IdCheck,
    JobEvent,
    OriginalFile,
    Resource,
    Result,
    ResultFile,
    SharedToken,
    SignIn,
    SkipReason,
    Snapshot,
)


class ReadOnlyAdmin(admin.ModelAdmin):
    """Lists and shows; the rules of the state machines are not to be bypassed from here."""

    list_per_page = 50
    # Counting every row would make the large tables slow to open.
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """All encrypted fields, those that are added one day included."""
        return [
            field.name
            for field in self.model._meta.get_fields()
            if isinstance(field, EncryptedTextField)
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Rows whose secrets are not even read from the database."""
        return super().get_queryset(request).defer(*self.get_exclude(request))


@admin.register(Connection)
class ConnectionAdmin(ReadOnlyAdmin):
    list_display = ["name", "data_center", "environment", "paused", "blocked_at", "last_answer_at"]
    list_filter = ["data_center", "environment", "paused"]
    search_fields = ["name"]


@admin.register(BulkWriteJob)
class BulkWriteJobAdmin(ReadOnlyAdmin):
    list_display = ["zoho_job_id", "connection", "label", "status", "outcome", "poll_state"]
    list_filter = ["outcome", "poll_state", "connection"]
    list_select_related = ["connection"]
    search_fields = ["zoho_job_id", "search_text"]


@admin.register(Resource)
class ResourceAdmin(ReadOnlyAdmin):
    list_display = ["job", "position", "module", "file_name", "status", "code"]
    list_select_related = ["job"]
    search_fields = ["job__zoho_job_id"]


@admin.register(FieldMapping)
class FieldMappingAdmin(ReadOnlyAdmin):
    list_display = ["resource", "position", "api_name", "index", "find_by"]
    list_select_related = ["resource"]
    search_fields = ["resource__job__zoho_job_id"]


@admin.register(Snapshot)
class SnapshotAdmin(ReadOnlyAdmin):
    list_display = ["job", "first_seen_at", "last_seen_at", "polls", "status_raw", "outcome"]
    list_select_related = ["job"]
    search_fields = ["job__zoho_job_id"]


@admin.register(JobEvent)
class JobEventAdmin(ReadOnlyAdmin):
    list_display = ["job", "at", "kind", "text", "actor"]
    list_filter = ["kind"]
    list_select_related = ["job", "actor"]
    search_fields = ["job__zoho_job_id"]


@admin.register(Result)
class ResultAdmin(ReadOnlyAdmin):
    list_display = ["job", "state", "size", "fetched_at", "attempts"]
    list_filter = ["state"]
    list_select_related = ["job"]
    search_fields = ["job__zoho_job_id"]


@admin.register(ResultFile)
class ResultFileAdmin(ReadOnlyAdmin):
    list_display = ["name", "result", "rows", "skipped_rows"]
    list_select_related = ["result"]
    search_fields = ["result__job__zoho_job_id"]


@admin.register(SkipReason)
class SkipReasonAdmin(ReadOnlyAdmin):
    list_display = ["code", "field", "rows", "file"]
    list_select_related = ["file"]
    search_fields = ["file__result__job__zoho_job_id"]


@admin.register(OriginalFile)
class OriginalFileAdmin(ReadOnlyAdmin):
    list_display = ["name", "file", "size", "attached_at", "attached_by", "expires_at"]
    list_select_related = ["file", "attached_by"]
    search_fields = ["file__result__job__zoho_job_id"]


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "kind", "connection", "job", "state", "attempts", "sent_at"]
    list_filter = ["state", "kind"]
    list_select_related = ["connection", "job"]
    search_fields = ["job__zoho_job_id", "subject"]


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnlyAdmin):
    list_display = ["part", "seen_at"]


@admin.register(SharedToken)
class SharedTokenAdmin(ReadOnlyAdmin):
    list_display = ["key", "expires_at"]


@admin.register(SignIn)
class SignInAdmin(ReadOnlyAdmin):
    list_display = ["connection", "user", "created_at"]
    list_select_related = ["connection", "user"]


@admin.register(IdCheck)
class IdCheckAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "connection", "user", "state"]
    list_select_related = ["connection", "user"]


@admin.register(CheckedId)
class CheckedIdAdmin(ReadOnlyAdmin):
    list_display = ["check_of", "line", "job_id", "verdict", "answer"]
    list_select_related = ["check_of"]
    search_fields = ["job_id"]


@admin.register(CreditUse)
class CreditUseAdmin(ReadOnlyAdmin):
    list_display = ["connection", "hour", "calls"]
    list_select_related = ["connection"]


@admin.register(CallSlot)
class CallSlotAdmin(ReadOnlyAdmin):
    list_display = ["connection", "calls", "until"]
    list_select_related = ["connection"]
