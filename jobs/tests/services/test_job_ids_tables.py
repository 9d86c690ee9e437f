"""Tables that are pasted, and the column of ids in them."""

import pytest

from jobs.services.registering import job_ids
from jobs.services.registering.job_ids import Verdict
from jobs.tests.services.pastes import FILE, ONE, ORG, THREE, TWO, ids, told

TABLES = {
    "commas": f"Module,Job ID,File\nLeads,{ONE},a.csv\nDeals,{TWO},b.csv\n",
    "semicolons and a mark": f"\ufeffModul;job_id\r\nLeads;{ONE}\r\nDeals;{TWO}\r\n",
    "tabs": f"bulk_write_job_id\tmodule\n{ONE}\tLeads\n{TWO}\tDeals",
    "quotes": f'"id","name of the file"\n"{ONE}","a, b.csv"\n"{TWO}","c\nd.csv"',
    "excel's first line": f"sep=;\njobid;module\n{ONE};Leads\n{TWO};Deals",
    "numbered rows": f"id,job,rows\n1,{ONE},10\n2,{TWO},20",
    "an id that only numbers the rows": f"id,zoho\n1,{ONE}\n2,{TWO}",
    "no header": f"Leads,{ONE},ok\nDeals,{TWO},ok",
    "names that say nothing": f"Import,Zoho\nLeads,{ONE}\nDeals,{TWO}",
    "an org beside them": f"org,what,zoho\n{ORG},Leads,{ONE}\n{ORG},Deals,{TWO}",
    "one column": f"Job ID\n{ONE}\n{TWO}",
    "excel's formulas": f'job_id,x\n="{ONE}",1\n="{TWO}",2',
    "addresses in the column": f"job,x\n/crm/bulk/v7/write/{ONE},1\n/crm/bulk/v7/write/{TWO},2",
    "a file's id beside them": f"file_id,id\n{FILE},{ONE}\n{FILE},{TWO}",
    "a file's id beside what says nothing": f"file_id,zoho\n{FILE},{ONE}\n{THREE},{TWO}",
    "more files than jobs": f"File ID,what,zoho\n{FILE},x,{ONE}\n{THREE},y,{TWO}\n{ORG},z,{TWO}",
    "an id beside its job's names": f"id,name,status,created\n{ONE},a,b,c\n{TWO},a,b,c",
    "an id beside its module": f"id,module,stage\n{ONE},Leads,x\n{TWO},Deals,y",
    "an id beside who created it": f"id,created_by,user_id\n{ONE},Boyle,1\n{TWO},Boyle,2",
    "records with the ids of their jobs": f"Job ID,Last Name\n{ONE},Boyle\n{TWO},Carr",
    "one column that is only an id": f"id\n{ONE}\n{TWO}",
}

TABLES_OF_OTHERS = {
    "files": (f"file_id,name\n{FILE},a.csv\n{THREE},b.csv", "uploaded file"),
    "files and numbered rows": (f"id,file_id\n1,{FILE}\n2,{THREE}", "uploaded file"),
    "files by who uploaded them": (f"file_id,user_id\n{FILE},{ONE}\n{THREE},{TWO}", "uploaded"),
    "users": (f"Name;User ID\nBoyle;{ONE}\nCarr;{TWO}", "“User ID”"),
    "orgs": (f"what,org\nProduction,{ONE}\nSandbox,{TWO}", "“org”"),
    "records": (f"Record Id,Last Name\n{ONE},Boyle\n{TWO},Carr", "“Record Id”"),
    "one column of records": (f"Record Id\n{ONE}\n{TWO}", "“Record Id”"),
    "an export": (f"id,Last Name\n{ONE},Boyle\n{TWO},Carr", "“job_id”"),
    "an export with lookups": (f"id,Account Name.id\n{ONE},{FILE}\n{TWO},{FILE}", "“job_id”"),
    "an export with a name that says nothing": (f"Zoho,Email\n{ONE},a@b\n{TWO},c@d", "“job_id”"),
}


@pytest.mark.parametrize(("text", "why"), TABLES_OF_OTHERS.values(), ids=TABLES_OF_OTHERS)
def test_a_table_of_something_else_is_left_out_with_the_reason(text, why):
    paste = job_ids.read(text)

    assert [entry.verdict for entry in paste.entries] == [Verdict.NO_JOB] * 2
    assert all(why in entry.why for entry in paste.entries)
    assert len(paste.notes) == 1


@pytest.mark.parametrize("text", TABLES.values(), ids=TABLES)
def test_a_column_of_ids_is_found(text):
    assert told(text)[0][2] == ONE
    assert ids(text) == [ONE, TWO]


def test_a_table_names_the_columns_that_are_not_used_and_takes_labels():
    paste = job_ids.read(f"Name,Job ID,Rows,File\nLeads week 47,{ONE},10,a.csv\n,{TWO},20,b.csv")

    assert [entry.label for entry in paste.entries] == ["Leads week 47", ""]
    assert paste.notes == [
        "Read as a table: the ids stand in column “Job ID”, the labels in “Name”. "
        "The other columns are not used: “Rows”, “File”."
    ]


def test_rows_of_a_table_without_an_id_are_said_with_their_lines():
    text = f'id,note\n{ONE},"over\ntwo lines"\n,nothing\n1.11111E+17,excel\nn/a,none\n{ONE},again'

    assert told(text) == [
        (2, "tracked", ONE),
        (4, "no_job", ""),
        (5, "rounded", ""),
        (6, "not_an_id", ""),
        (7, "repeated", ONE),
    ]


def test_a_table_whose_quotes_do_not_pair_up_is_read_line_by_line():
    assert ids(f'id,note\n{ONE},"open\n{TWO},x\n{THREE},y') == [ONE, TWO, THREE]


def test_a_bulk_read_job_in_a_table_is_named():
    text = f"id,operation\n{ONE},insert\n{TWO},read"

    assert told(text) == [(2, "tracked", ONE), (3, "bulk_read", TWO)]
