"""Uploads: no more of them is written than may be, whoever sends them."""

from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import TemporaryFileUploadHandler


class RefusedUpload(UploadedFile):
    """Stands for a file that was larger than allowed; nothing of it is there but its size."""


class LimitedUploadHandler(TemporaryFileUploadHandler):
    """Write a request's files to temporary ones, MAX_UPLOAD_MEGABYTES of them all at most.

    Django reads a form before the view runs, and before it is known whether the sender is signed
    in, so that nothing else could stop a disk from filling up. The rest of the request is read and
    dropped: a browser shows our answer only if it could send all it had. For a stranger nothing is
    written at all.
    """

    def __init__(self, request: Any = None) -> None:
        super().__init__(request)
        self._received = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self._received += len(raw_data)
        if self._is_too_much():
            # Also deletes it.
            self.file.close()
        else:
            super().receive_data_chunk(raw_data, start)

    def file_complete(self, file_size: int) -> UploadedFile | None:
        if self._is_too_much():
            self.file.close()
            return RefusedUpload(BytesIO(), self.file_name, self.content_type, file_size)
        return super().file_complete(file_size)

    def _is_too_much(self) -> bool:
        user = getattr(self.request, "user", None)
        may_send = user is not None and user.is_authenticated
        most = int(settings.MAX_UPLOAD_MEGABYTES) * 1024 * 1024 if may_send else 0
        return self._received > most
