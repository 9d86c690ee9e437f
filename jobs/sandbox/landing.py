"""Pages for people: what this is, and the consent page of "Connect to Zoho"."""

from html import escape
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from .samples import sample_jobs
from .wire import Answer, Request, html_answer

if TYPE_CHECKING:
    from .server import Sandbox

_STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;
color:#1f2937;background:#fff}table{border-collapse:collapse;width:100%}td,th{text-align:left;
padding:.3rem .8rem .3rem 0;border-bottom:1px solid #e5e7eb}code{font-size:.9em}
a.button{display:inline-block;padding:.5rem 1.2rem;border:1px solid #374151;border-radius:.3rem;
color:inherit;text-decoration:none;margin-right:.6rem}"""


def answer(sandbox: "Sandbox", request: Request) -> Answer:
    if request.segments:
        return _consent(sandbox, request)
    rows = "".join(
        f"<tr><td><code>{job_id}</code></td><td>{escape(label)}</td>"
        f"<td><a href='/__sandbox__/jobs/{job_id}/upload'>uploaded file</a></td></tr>"
        for job_id, label, _ in sample_jobs()
    )
    return html_answer(
        _page(
            "Sandbox for Zoho CRM bulk write jobs",
            "<p>This server stands in for Zoho CRM on this machine: token endpoint, upload, "
            "create, job details and result download of the Bulk Write API, with a sample "
            "organisation. Nothing here reaches Zoho, and nobody but this machine reaches it.</p>"
            "<p>Switches and counters: <a href='/__sandbox__/health'>health</a>, "
            "<a href='/__sandbox__/samples'>samples</a>, "
            "<a href='/__sandbox__/requests'>requests</a>, "
            "<a href='/__sandbox__/faults'>faults</a>.</p>"
            f"<table><thead><tr><th>Job id</th><th>Sample</th><th></th></tr></thead>{rows}</table>",
        )
    )


def _consent(sandbox: "Sandbox", request: Request) -> Answer:
    """Ask for consent, or send the browser back with what was decided.

    Source: "Authorization Request" of Zoho's accounts documentation: the redirect carries ``code``,
    ``location``, ``accounts-server`` and the ``state`` that came, or ``error=access_denied``.
    """
    asked = request.query
    target = asked.get("redirect_uri", "")
    parts = urlsplit(target)
    if not sandbox.accounts.knows_client(asked.get("client_id", "")):
        return html_answer(_page("Invalid Client ID", "<p>There is no such client.</p>"), 400)
    if parts.scheme not in ("http", "https") or parts.hostname not in ("127.0.0.1", "localhost"):
        text = "<p>The sandbox sends browsers back to this machine only.</p>"
        return html_answer(_page("Invalid Redirect Uri", text), 400)
    decision = request.segments[3] if len(request.segments) > 3 else ""
    if decision in ("accept", "reject"):
        back = {"state": asked["state"]} if "state" in asked else {}
        if decision == "accept":
            scope = sandbox.options["granted_scope"] or asked.get("scope", "")
            code = sandbox.accounts.new_grant(asked["client_id"], scope, target)
            back |= {
                "code": code,
                "location": sandbox.options["location"],
                "accounts-server": sandbox.options["accounts_server"] or sandbox.url,
            }
        else:
            back |= {"error": "access_denied"}
        joint = "&" if parts.query else "?"
        return Answer(302, headers={"Location": target + joint + urlencode(back)})
    query = escape(urlencode(asked))
    scope = escape(asked.get("scope", ""))
    return html_answer(
        _page(
            "Allow access to the sample organisation?",
            f"<p>Asked for: <code>{scope}</code></p>"
            f"<p><a class='button' href='/oauth/v2/auth/accept?{query}'>Accept</a>"
            f"<a class='button' href='/oauth/v2/auth/reject?{query}'>Reject</a></p>",
        )
    )


def _page(title: str, content: str) -> str:
    return (
        f"<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>"
        f"<meta name='viewport' content='width=device-width'><style>{_STYLE}</style></head>"
        f"<body><h1>{title}</h1>{content}</body></html>"
    )
