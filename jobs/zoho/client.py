"""The calls of Zoho CRM's Bulk Write API that a monitor needs.

Source: the v7 pages "Bulk Write Job Details" and "Download Result". Each call costs one API credit
and needs the scope ZohoCRM.bulk.CREATE or ZohoCRM.bulk.ALL.
"""

import itertools
import json
import logging
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import BinaryIO, Self

import requests
from requests.structures import CaseInsensitiveDict

from jobs.zoho import downloads, wire
from jobs.zoho.codes import STILL_REJECTED
from jobs.zoho.errors import (
    LARGEST_ENVELOPE,
    RENEWABLE,
    MalformedAnswerError,
    ZohoError,
    ZohoRejectedError,
    ZohoSignInError,
    ZohoThrottledError,
    ZohoUnavailableError,
    describe,
    excerpt_of,
    from_answer,
    is_error_envelope,
)
from jobs.zoho.payloads import JobDetails, parse_job_details
from jobs.zoho.regions import Region

logger = logging.getLogger(__name__)

# Ten times what a job of some hundred field mappings takes.
MAX_DETAILS_BYTES = 512 * 1024

_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_API_VERSION = re.compile(r"v[0-9]{1,2}(\.[0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking for one job: its details or an error, never both.

    ``asked_at`` is in UTC.
    """

    job_id: str
    asked_at: datetime
    details: JobDetails | None
    error: ZohoError | None


class BulkWriteClient:
    """Reads bulk write jobs of one connection; may be used by many threads at once.

    ``timeout`` is the seconds one call may take in all. ``pool_size`` connections are kept alive:
    as many as threads use the client. ``proxies`` as in ``requests``; those of the environment
    are not used.
    """

    def __init__(
        self,
        *,
        region: Region,
        tokens: downloads.Tokens,
        api_version: str = "v7",
        pool_size: int = 10,
        timeout: float = 20.0,
        proxies: Mapping[str, str] | None = None,
    ) -> None:
        if not _API_VERSION.fullmatch(api_version):
            raise ValueError(f"Not a version of Zoho's API: {api_version!r} (for example v7).")
        self._region = region
        self._tokens = tokens
        self._path = f"/crm/bulk/{api_version}/write/"
        self._timeout = timeout
        self._proxies = proxies
        self._session = wire.new_session(pool_size)
        self._base = ("", region.api_url + self._path)
        self._counting = threading.Lock()
        self._calls = 0
        self._credits: tuple[float, int | None] = (0.0, None)

    def __repr__(self) -> str:
        return f"BulkWriteClient(region={self._region.key!r}, timeout={self._timeout})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are kept alive."""
        self._session.close()

    @property
    def calls(self) -> int:
        """Requests that this client has sent to Zoho's API, each worth one API credit."""
        return self._calls

    @property
    def credits_remaining(self) -> int | None:
        """API credits that the org has left, as the latest answer says.

        Zoho names them (X-API-CREDITS-REMAINING) only once half of the 24 hours' credits are
        used; None without such an answer. An error that does not name them says nothing of them.
        """
        return self._credits[1]

    @property
    def knows_credits(self) -> bool:
        """Whether Zoho has said what is left, be it by not naming it in a good answer."""
        return self._credits[0] > 0

    def job_details(self, job_id: str) -> JobDetails:
        """What Zoho says about the job now. Raises a kind of ZohoError.

        A rejected token is renewed once and the call repeated once.
        """
        if not _JOB_ID.fullmatch(job_id):
            raise ZohoRejectedError(
                "This is not the ID of a bulk write job; Zoho was not asked.",
                resolution=describe("RESOURCE_NOT_FOUND").resolution,
            )
        token = self._tokens.get()
        try:
            return self._ask(job_id, token)
        except ZohoSignInError as error:
            if error.code not in RENEWABLE:
                raise
        token = self._tokens.renew(token)
        try:
            return self._ask(job_id, token)
        except ZohoSignInError as error:
            raise still_rejected(error) from error

    def job_details_many(
        self,
        job_ids: Sequence[str],
        *,
        threads: int,
        seconds: float,
        tick: float | None = None,
        stop: threading.Event | None = None,
        most_failures: int | None = None,
        asked: set[str] | None = None,
        may_ask: Callable[[], bool] | None = None,
    ) -> Iterator[Answer | None]:
        """Ask for many jobs with some threads; the answers come as they arrive.

        No further job is asked for once ``seconds`` have passed, Zoho has wanted a sign-in or a
        pause or has refused the whole connection, ``most_failures`` calls on end have brought no
        answer, or the caller sets ``stop``; what is under way then still comes. Closing the
        iterator gives that up as well. Jobs not asked for are not yielded; those asked for are
        added to ``asked``. Before each job its thread calls ``may_ask``, which may wait, and by
        False ends the thread. The last answer is there at the latest ``seconds`` and two timeouts
        after the start. With ``tick``, None comes before the first call, as a token may have been
        waited for, and whenever no answer has come for so many seconds: the caller's turn to do
        what must not wait for a slow answer.
        """
        if not job_ids:
            return
        asked_at = datetime.now(UTC)
        try:
            # Once, ahead of the threads: without a token one answer says so, not one per thread.
            self._tokens.get()
        except ZohoError as error:
            yield Answer(job_ids[0], asked_at, None, error)
            return
        if tick is not None:
            yield None
        stop = stop or threading.Event()
        answers: queue.SimpleQueue[Answer | BaseException | None] = queue.SimpleQueue()
        waiting = iter(list(job_ids))
        taking = threading.Lock()
        until = time.monotonic() + seconds
        failures = itertools.count(1)

        def is_hopeless(error: ZohoError | None) -> bool:
            nonlocal failures
            if most_failures is None:
                return False
            if not isinstance(error, ZohoUnavailableError):
                failures = itertools.count(1)
                return False
            return next(failures) >= most_failures

        def work() -> None:
            try:
                while not stop.is_set() and time.monotonic() < until:
                    with taking:
                        job_id = next(waiting, None)
                    if job_id is None or not (may_ask is None or may_ask()):
                        return
                    if stop.is_set() or time.monotonic() >= until:
                        # Meanwhile, while it waited.
                        return
                    if asked is not None:
                        asked.add(job_id)
                    answer = self._answer(job_id)
                    if _ends_the_batch(answer.error) or is_hopeless(answer.error):
                        stop.set()
                    answers.put(answer)
            except BaseException as exc:  # handed to the caller's thread
                stop.set()
                answers.put(exc)
            finally:
                answers.put(None)

        workers = max(1, min(threads, len(job_ids)))
        for number in range(workers):
            threading.Thread(target=work, name=f"zoho-poll-{number}", daemon=True).start()
        try:
            while workers:
                try:
                    item = answers.get(timeout=tick)
                except queue.Empty:
                    yield None
                    continue
                if item is None:
                    workers -= 1
                elif isinstance(item, BaseException):
                    raise item
                else:
                    yield item
        finally:
            stop.set()

    def download(
        self, download_url: str, target: BinaryIO, *, max_bytes: int, seconds: float
    ) -> int:
        """Write a job's result file to ``target`` and return its size in bytes.

        ``target`` is written from where it stands and must be seekable; what a failed attempt
        wrote is cut off again. Raises ResultGoneError for a link that is not valid any more,
        UnsafeUrlError, TooLargeError, or another kind of ZohoError; OSError if ``target`` fails.
        A ZohoSignInError of scope "job" concerns result files, one of "connection" every call.
        """
        downloader = downloads.Downloader(self._session, self._region, self._tokens, self._proxies)
        try:
            return downloader.download(download_url, target, max_bytes=max_bytes, seconds=seconds)
        finally:
            with self._counting:
                self._calls += downloader.calls

    def _answer(self, job_id: str) -> Answer:
        asked_at = datetime.now(UTC)
        try:
            details = self.job_details(job_id)
        except ZohoError as error:
            return Answer(job_id, asked_at, None, error)
        except Exception as error:
            # One answer that nobody foresaw must not cost the others of its batch.
            logger.exception("Job %s could not be asked about", job_id)
            odd = MalformedAnswerError(f"Zoho's answer could not be read: {type(error).__name__}.")
            return Answer(job_id, asked_at, None, odd)
        return Answer(job_id, asked_at, details, None)

    def _ask(self, job_id: str, token: str) -> JobDetails:
        with self._counting:
            self._calls += 1
        asked_at = time.monotonic()
        reply = wire.fetch(
            self._session,
            _prepared(self._base_url() + job_id, token),
            seconds=self._timeout,
            max_bytes=MAX_DETAILS_BYTES,
            proxies=self._proxies,
        )
        self._note_credits(reply, asked_at)
        if reply.status == 200 and reply.body:
            return _read_details(reply, job_id, token)
        raise _refusal(reply, token)

    def _note_credits(self, reply: wire.Reply, asked_at: float) -> None:
        remaining = _credits_of(reply)
        # A gateway's page knows nothing of credits; and that a refusal names none is no news.
        if reply.status >= 500 or (remaining is None and reply.status != 200):
            return
        with self._counting:
            # Answers overtake each other.
            if asked_at >= self._credits[0]:
                self._credits = asked_at, remaining

    def _base_url(self) -> str:
        api_domain, base = self._base
        if self._tokens.api_domain != api_domain:
            api_domain = self._tokens.api_domain
            base = self._region.with_api_domain(api_domain).api_url + self._path
            self._base = (api_domain, base)
        return base


def _ends_the_batch(error: ZohoError | None) -> bool:
    """Whether the next job would be answered in the same way."""
    if isinstance(error, ZohoSignInError | ZohoThrottledError):
        return True
    return isinstance(error, ZohoRejectedError) and error.scope == "connection"


def _credits_of(reply: wire.Reply) -> int | None:
    text = reply.headers.get("X-API-CREDITS-REMAINING", "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 13 else None


def _prepared(url: str, token: str) -> requests.PreparedRequest:
    """A GET without the checks of Request.prepare(), which cost as much as the rest of the call.

    The URL is made of a region's address and a checked id.
    """
    request = requests.PreparedRequest()
    request.method = "GET"
    request.url = url
    request.headers = CaseInsensitiveDict(
        {
            "Authorization": f"Zoho-oauthtoken {token}",
            "User-Agent": wire.USER_AGENT,
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
        }
    )
    return request


def _read_details(reply: wire.Reply, job_id: str, token: str) -> JobDetails:
    try:
        details = parse_job_details(reply.body)
    except MalformedAnswerError as error:
        if _is_envelope(reply.body):
            raise from_answer(
                reply.status, reply.headers, reply.body, now=datetime.now(UTC), secrets=(token,)
            ) from error
        error.excerpt = excerpt_of(reply.body, token)
        error.http_status = reply.status
        raise
    if not details.job_id:
        return replace(details, job_id=job_id)
    if details.job_id != job_id:
        raise MalformedAnswerError("Zoho answered for another job.", http_status=reply.status)
    return details


def _is_envelope(body: bytes) -> bool:
    if len(body) > LARGEST_ENVELOPE:
        return False
    try:
        return is_error_envelope(json.loads(body))
    except (ValueError, RecursionError):
        return False


def _refusal(reply: wire.Reply, token: str) -> ZohoError:
    status = reply.status
    if 300 <= status < 400 and status != 304:
        return ZohoUnavailableError(
            f"Redirect refused: Zoho's API answered with HTTP {status}.",
            http_status=status,
            resolution=(
                "Check the data centre and the API address of this connection; the access token "
                "is not sent on to other addresses."
            ),
        )
    if status in (200, 204, 304):
        return MalformedAnswerError("Zoho's answer is empty.", http_status=status)
    return from_answer(status, reply.headers, reply.body, now=datetime.now(UTC), secrets=(token,))


def still_rejected(error: ZohoSignInError) -> ZohoSignInError:
    """The error for a token that Zoho rejects although it was renewed just now."""
    if error.code not in RENEWABLE:
        return error
    return ZohoSignInError(
        STILL_REJECTED.meaning,
        code=error.code,
        http_status=error.http_status,
        resolution=STILL_REJECTED.resolution,
        excerpt=error.excerpt,
    )
