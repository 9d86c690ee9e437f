"""Uploads: no more of them is written than may be, whoever sends them."""

from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler


class RefusedUpload(UploadedFile):
    """Stands for a file that was larger than allowed; nothing of it is there but its size."""


class LimitedUploadHandler(FileUploadHandler):
    """Let MAX_UPLOAD_MEGABYTES of a request's files through to the handlers behind it.

    Django reads a form before the view runs, and before it is known whether the sender is signed
    in, so that nothing else could stop a disk from filling up. The rest of the request is read and
    dropped: a browser shows our answer only if it could send all it had. For a stranger nothing is
    written at all.
    """

    def __init__(self, request: Any = None) -> None:
        super().__init__(request)
        self._received = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes | None:
        self._received += len(raw_data)
        return None if self._received > self._limit() else raw_data

    def file_complete(self, file_size: int) -> UploadedFile | None:
        if self._received <= self._limit():
            return None
        return RefusedUpload(BytesIO(), self.file_name, self.content_type, file_size)

    def _limit(self) -> int:
        user = getattr(self.request, "user", None)
        if user is None or not user.is_authenticated:
            return 0
        return int(settings.MAX_UPLOAD_MEGABYTES) * 1024 * 1024
