"""The sample organisation's modules: which fields there are, which are mandatory, which unique."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Field:
    type: str = "text"
    mandatory: bool = False
    unique: bool = False


@dataclass(frozen=True, slots=True)
class Module:
    id: str
    fields: dict[str, Field]
    #: A subform's records belong to a record of this module.
    parent: str | None = None

    @property
    def mandatory(self) -> list[str]:
        return [name for name, field in self.fields.items() if field.mandatory]

    @property
    def unique(self) -> list[str]:
        return [name for name, field in self.fields.items() if field.unique]


REQUIRED = Field(mandatory=True)
TEXT = Field()
EMAIL = Field("email")
DATE = Field("date")
NUMBER = Field("number")
BOOLEAN = Field("boolean")

#: In every module, whatever its own fields are.
COMMON = {"id": Field("id"), "Owner": TEXT, "Layout": TEXT, "Description": TEXT, "Tag": TEXT}
PERSON = {
    "First_Name": TEXT,
    "Phone": TEXT,
    "Mobile": TEXT,
    "Lead_Source": TEXT,
    "Title": TEXT,
    "Email_Opt_Out": BOOLEAN,
    "Date_of_Birth": DATE,
}
ADDRESS = {
    "Street": TEXT,
    "City": TEXT,
    "Country": TEXT,
    "Zip_Code": TEXT,
    "Mailing_City": TEXT,
    "Mailing_Country": TEXT,
    "Billing_City": TEXT,
    "Billing_Country": TEXT,
}

MODULES: dict[str, Module] = {
    "Leads": Module(
        "3652397000000002175",
        COMMON
        | PERSON
        | ADDRESS
        | {
            "Last_Name": REQUIRED,
            "Company": REQUIRED,
            "Email": Field("email", unique=True),
            "Lead_Status": TEXT,
            "Industry": TEXT,
            "Website": TEXT,
            "Annual_Revenue": NUMBER,
            "No_of_Employees": NUMBER,
            "Newsletter_Since": DATE,
        },
    ),
    "Contacts": Module(
        "3652397000000002179",
        COMMON
        | PERSON
        | ADDRESS
        | {
            "Last_Name": REQUIRED,
            "Email": Field("email", unique=True),
            "Secondary_Email": EMAIL,
            "Account_Name": TEXT,
            "Department": TEXT,
        },
    ),
    "Accounts": Module(
        "3652397000000002177",
        COMMON
        | ADDRESS
        | {
            "Account_Name": Field(mandatory=True, unique=True),
            "Account_Number": TEXT,
            "Phone": TEXT,
            "Website": TEXT,
            "Industry": TEXT,
            "Employees": NUMBER,
            "Annual_Revenue": NUMBER,
        },
    ),
    "Deals": Module(
        "3652397000000002181",
        COMMON
        | {
            "Deal_Name": REQUIRED,
            "Stage": REQUIRED,
            "Closing_Date": DATE,
            "Amount": NUMBER,
            "Account_Name": TEXT,
            "Pipeline": TEXT,
            "Next_Step": TEXT,
            "Probability": NUMBER,
        },
    ),
    "Products": Module(
        "3652397000000002195",
        COMMON
        | {
            "Product_Name": REQUIRED,
            "Product_Code": Field(unique=True),
            "Unit_Price": NUMBER,
            "Product_Active": BOOLEAN,
            "Product_Category": TEXT,
            "Qty_in_Stock": NUMBER,
        },
    ),
    "Price_Tiers": Module(
        "3652397000000418001",
        COMMON
        | {
            "Parent_Id": Field("lookup", mandatory=True),
            "From_Quantity": Field("number", mandatory=True),
            "Tier_Price": NUMBER,
        },
        parent="Products",
    ),
    "Memberships": Module(
        "3652397000000532009",
        COMMON
        | {
            "Name": REQUIRED,
            "Membership_Number": Field(unique=True),
            "Member_Email": EMAIL,
            "Valid_Until": DATE,
            "Level": TEXT,
            "Contact": TEXT,
        },
    ),
}
