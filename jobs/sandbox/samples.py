"""The sample organisation's jobs: every outcome a monitor can meet, some of them still under way.

Each life is a pure function of the time since the epoch, so a sandbox that is restarted with the
same epoch goes on where it was.
"""

from .documented import ADDED_ID, COMPLETED_ID, IN_PROGRESS_ID, documented_jobs
from .lives import Dialect, Job, Phase, Resource
from .modules import MODULES
from .oauth import SAMPLE_CONNECTION
from .sample_life import (
    BOYLE,
    DAY,
    HOUR,
    LINDQVIST,
    LOADER,
    MINUTE,
    OKAFOR,
    Sample,
    columns,
    ended,
    mappings,
    moving,
    upload,
)
from .sample_rows import skip

__all__ = ["SAMPLE_CONNECTION", "build_jobs", "sample_jobs"]

LEAD = columns("External_Id", "Last_Name", "First_Name", "Email", "Company", "Lead_Source", "City")
CONTACT = columns("Email", "Last_Name", "First_Name", "Phone", "Account_Name", "Mailing_City")
DEAL = columns("Owner", "Deal_Name", "Stage", "Closing_Date", "Amount", "Account_Name")
DAY_FORMAT = {"format": "yyyy-MM-dd"}


def by(field: str) -> dict[str, dict[str, str]]:
    return {field: {"find_by": field}}


def _price_tiers() -> Resource:
    """The subform of 700109. It looks for its parents by name, in a column that holds codes."""
    tiers = upload(
        700189,
        columns("Parent_Id", "From_Quantity", "Tier_Price", Parent_Id="Product_Code"),
        skip(240, "RESOURCE_NOT_FOUND-Parent_Id"),
        first_number=0,
    )
    return Resource(
        "Price_Tiers",
        MODULES["Price_Tiers"].id,
        "price_tiers.csv",
        tiers.columns,
        mappings(tiers, {"Parent_Id": {"parent_column_index": 1, "module": "Products"}}),
        tiers.tally,
        tiers.rows,
        # The create page's sample shows this code on a finished resource.
        code="INPROGRESS",
    )


SAMPLES: tuple[Sample, ...] = (
    # Over before the epoch, good ends first.
    Sample(
        700101, "Web leads, week 47", ("web", "weekly"), "Leads", "web_leads_w47.csv",
        upload(700101, LEAD, added=1240), "insert", OKAFOR, -5 * HOUR,
        ended(-5 * HOUR + 34), {"Lead_Source": {"default_value": {"value": "Web form"}}},
    ),
    Sample(
        700102, "Account refresh from ERP", ("erp", "nightly"), "Accounts", "erp_accounts.csv",
        upload(
            700102,
            columns("Account_Name", "Phone", "Website", "Billing_City", "Employees"),
            added=212, updated=648,
        ),
        "upsert", LOADER, -27 * HOUR, ended(-27 * HOUR + 36), by("Account_Name"),
    ),
    Sample(
        700103, "New phone numbers for contacts", ("cleanup",), "Contacts", "phones.csv",
        upload(700103, columns("id", "Phone", "Mailing_City"), updated=430), "update", LINDQVIST,
        -2 * DAY, ended(-2 * DAY + 31), by("id"),
    ),
    Sample(
        700104, "Trade fair visitors", ("events",), "Leads", "fair visitors 2026.csv",
        upload(
            700104,
            columns(
                "Last_Name", "First_Name", "Email", "Company", "Newsletter_Since", "City",
                Last_Name="Last Name", First_Name="First Name", Email="E-Mail",
                Newsletter_Since="Newsletter since",
            ),
            skip(26, "INVALID_DATA-Email"),
            skip(9, "MANDATORY_NOT_FOUND-Company"),
            skip(5, "INVALID_DATA-Newsletter_Since"),
            added=1960,
        ),
        "insert", BOYLE, -26 * HOUR, ended(-26 * HOUR + 42),
        {
            "Newsletter_Since": {"format": "dd/MM/yyyy"},
            "Lead_Source": {"default_value": {"value": "Trade fair"}},
        },
    ),
    Sample(
        700105, "Partner contacts, first load", ("partners",), "Contacts", "partner_contacts.csv",
        upload(
            700105, CONTACT,
            skip(212, "MANDATORY_NOT_FOUND-Last_Name"),
            skip(168, "INVALID_DATA-Email"),
            skip(85, "DUPLICATE_DATA-Email"),
            skip(34, "MANDATORY_NOT_FOUND-Last_Name", "INVALID_DATA-Email"),
            skip(14, "NOT_APPROVED-Account_Name"),
            skip(12, "BLOCKED_RECORD-Email"),
            added=731, updated=244,
        ),
        "upsert", LINDQVIST, -3 * HOUR, ended(-3 * HOUR + 38), by("Email"),
    ),
    Sample(
        700106, "Deals from the old CRM", ("migration",), "Deals", "legacy_deals.csv",
        upload(
            700106, DEAL,
            skip(301, "MANDATORY_NOT_FOUND-Stage"),
            skip(13, "MANDATORY_NOT_FOUND-Stage", "INVALID_DATA-Closing_Date"),
            skip(6, "MANDATORY_NOT_FOUND-Deal_Name,Stage"),
        ),
        "insert", BOYLE, -50 * MINUTE, ended(-50 * MINUTE + 33), {"Closing_Date": DAY_FORMAT},
    ),
    Sample(
        700107, "Leads from the call centre", ("call-centre",), "Leads", "calls_w47.csv",
        upload(700107, LEAD, skip(500, "CANNOT_PROCESS-Email")), "insert", OKAFOR, -7 * HOUR,
        (
            Phase(-7 * HOUR, "ADDED"),
            Phase(-7 * HOUR + 12, "SKIPPED", code="CANNOT_PROCESS"),
        ), {},
    ),
    Sample(
        700108, "Deals without a stage", ("migration",), "Deals", "deals_no_stage.csv",
        upload(700108, columns("Owner", "Deal_Name", "Amount", "Account_Name"), added=75),
        "insert", BOYLE, -75 * MINUTE,
        (
            Phase(-75 * MINUTE, "ADDED"),
            Phase(-75 * MINUTE + 9, "FAILED", code="MANDATORY_FIELDS_NOT_MAPPED"),
        ), {},
    ),
    Sample(
        700109, "Products with price tiers", ("erp", "catalogue"), "Products", "products.csv",
        upload(
            700109,
            columns("Product_Code", "Product_Name", "Unit_Price", "Product_Active"),
            added=80, first_number=0,
        ),
        "insert", LOADER, -9 * HOUR, ended(-9 * HOUR + 45), {}, children=(_price_tiers(),),
    ),
    Sample(
        700110, "Accounts, Austria", ("erp",), "Accounts", "accounts_at.csv",
        upload(
            700110,
            columns("Account_Name", "Website", "Billing_City"),
            skip(8, "DUPLICATE_DATA-Account_Name"),
            added=402,
        ),
        "insert", LOADER, -29 * HOUR, ended(-29 * HOUR + 35), {}, has_counts=False,
    ),
    Sample(
        700111, "Accounts, Switzerland", ("erp",), "Accounts", "accounts_ch.csv",
        upload(700111, columns("Account_Name", "Website", "Billing_City"), added=377),
        "insert", LOADER, -8 * DAY, ended(-8 * DAY + 35), {}, has_counts=False,
    ),
    Sample(
        700112, "Newsletter contacts", ("marketing",), "Contacts", "newsletter_contacts.csv",
        upload(
            700112, CONTACT,
            skip(60, "INVALID_DATA-Email"),
            added=2400, unprocessed=540,
        ),
        "insert", LINDQVIST, -6 * HOUR, ended(-6 * HOUR + 70), {},
    ),
    # All eight codes, several of them in a row, below headers that hold what parts names in ERRORS.
    Sample(
        700120, "Contacts from the accounting", ("accounting",), "Contacts", "Debitoren.csv",
        upload(
            700120,
            columns(
                "External_Id", "Last_Name", "Email", "Account_Name", "Phone", "Mailing_City",
                External_Id="No.", Last_Name="Name, last", Email="E-Mail: main",
                Account_Name="Firm", Mailing_City="City",
            ),
            skip(41, "DUPLICATE_DATA-Email"),
            skip(23, "MANDATORY_NOT_FOUND-Last_Name"),
            skip(19, "INVALID_DATA-Email"),
            skip(12, "MANDATORY_NOT_FOUND-Last_Name", "INVALID_DATA-Email,Phone"),
            skip(9, "NOT_APPROVED-Email"),
            skip(8, "BLOCKED_RECORD-Email"),
            skip(6, "CANNOT_PROCESS-Last_Name"),
            skip(5, "LIMIT_EXCEEDED-Account_Name"),
            skip(4, "RESOURCE_NOT_FOUND-Account_Name"),
            added=507, updated=120, unprocessed=6, dialect=Dialect("windows-1250", ";", "\r\n"),
        ),
        "upsert", LOADER, -4 * HOUR, ended(-4 * HOUR + 40), by("Email"),
    ),
    # Stays where it is.
    Sample(
        700113, "Leads, back catalogue", ("migration",), "Leads", "leads_2019_2023.csv",
        upload(700113, LEAD, skip(450, "INVALID_DATA-Email"), added=14550), "insert", BOYLE,
        -140 * MINUTE,
        (
            Phase(-140 * MINUTE, "ADDED"),
            Phase(-139 * MINUTE, "INPROGRESS"),
            Phase(-131 * MINUTE, "INPROGRESS", 0.408),
        ), {},
    ),
    # Moving at the epoch.
    Sample(
        700114, "Memberships, renewal run", ("memberships",), "Memberships", "renewals.csv",
        upload(
            700114,
            columns("Membership_Number", "Name", "Member_Email", "Valid_Until", "Level"),
            skip(17, "INVALID_DATA-Valid_Until"),
            skip(4, "INVALID_DATA-Member_Email,Valid_Until"),
            added=95, updated=724,
        ),
        "upsert", OKAFOR, -8.0,
        (Phase(-DAY, "QUEUED"), Phase(40, "INPROGRESS"), Phase(100, "COMPLETED", 1.0, "SUCCESS")),
        by("Membership_Number") | {"Valid_Until": {"format": "MM-dd-yyyy"}},
    ),
    Sample(
        700115, "All leads from the old CRM", ("migration", "large"), "Leads", "all_leads_1.csv",
        upload(
            700115, LEAD,
            skip(520, "INVALID_DATA-Email"),
            skip(260, "MANDATORY_NOT_FOUND-Company"),
            skip(140, "DUPLICATE_DATA-Email"),
            skip(80, "MANDATORY_NOT_FOUND-Company,Last_Name", "INVALID_DATA-Email"),
            added=24000,
        ),
        "insert", BOYLE, -30.0, moving(360, begins=5.0), {},
    ),
    Sample(
        700116, "Webinar sign-ups", ("events",), "Leads", "webinar.csv",
        upload(700116, LEAD, added=180), "insert", OKAFOR, -6.0, moving(20), {},
    ),
    Sample(
        700117, "Deal amounts in euro", ("finance",), "Deals", "deals_eur.csv",
        upload(
            700117,
            columns("id", "Amount", "Closing_Date", "Stage"),
            skip(41, "INVALID_DATA-Amount"),
            skip(17, "RESOURCE_NOT_FOUND-id"),
            updated=582,
        ),
        "update", LINDQVIST, -9.0, moving(45, word="IN PROGRESS"),
        by("id") | {"Closing_Date": DAY_FORMAT},
    ),
    Sample(
        700118, "Partner contacts, loaded twice", ("partners",), "Contacts", "partners_again.csv",
        upload(700118, CONTACT, skip(900, "DUPLICATE_DATA-Email")), "insert", LINDQVIST, -14.0,
        moving(90, begins=10.0), {},
    ),
    Sample(
        700119, "Catalogue 2027", ("erp", "catalogue"), "Products", "catalogue_2027.csv",
        upload(
            700119,
            columns("Product_Code", "Product_Name", "Unit_Price", "Product_Active"),
            added=5000,
        ),
        "upsert", LOADER, -25.0,
        moving(120, "FAILED", "CANNOT_PROCESS", begins=8.0, reached=0.31), by("Product_Code"),
    ),
)  # fmt: skip


def sample_jobs() -> list[tuple[str, str, tuple[str, ...]]]:
    """Return (job id, label, tags) of every job there is, the documented ones last."""
    from_page = [
        (ADDED_ID, "Zoho's documented sample: Added", ("documentation",)),
        (IN_PROGRESS_ID, "Zoho's documented sample: In Progress", ("documentation",)),
        (COMPLETED_ID, "Zoho's documented sample: Completed", ("documentation",)),
    ]
    return [(sample.id, sample.label, sample.tags) for sample in SAMPLES] + from_page


def build_jobs(epoch: float, speed: float = 1.0) -> list[Job]:
    """Return all jobs of the sample organisation with the lives they lead from ``epoch`` on."""
    return [sample.job(epoch, speed) for sample in SAMPLES] + documented_jobs()
