import pytest

from jobs.zoho.errors import UnsafeUrlError
from jobs.zoho.regions import DATA_CENTERS, AddressError, parse_address, region_for

US = region_for("us")
RELATIVE = "/v7/crm/org6196138/bulk-write/111/111.zip"

HOSTILE = [
    "//evil.example/x",
    "///evil.example/x",
    "\\\\evil.example\\x",
    "/\\evil.example/x",
    "\\/evil.example/x",
    "\thttps://evil.example/x",
    "https://evil.example/x",
    "HTTPS://EVIL.EXAMPLE/x",
    "https:/evil.example/x",
    "https:evil.example/x",
    "https:///evil.example/x",
    "ht\ntps://evil.example/x",
    "https://evil\t.example/x",
    "/\t/evil.example/x",
    "/\n/evil.example/x",
    "/\r/evil.example/x",
    " //evil.example/x",
    "https://download-accl.zoho.com@evil.example/x",
    "https://user:pass@download-accl.zoho.com/x",
    "https://download-accl.zoho.com:443@evil.example/",
    "https://evil.example\\@download-accl.zoho.com/x",
    "https://evil.example#@download-accl.zoho.com/x",
    "https://evil.example?.zoho.com/x",
    "https://evil.example/.zoho.com",
    "https://download-accl.zoho.com.evil.example/x",
    "https://evilzoho.com/x",
    "https://zoho.com.evil.example/",
    "https://download-accl.zoho.com:8443/x",
    "https://download-accl.zoho.com:80/x",
    "https://download-accl.zoho.com:99999/x",
    "https://download-accl.zoho.com:/x",
    "https://download-accl.zoho.com:0/x",
    "http://download-accl.zoho.com/x",
    "http://127.0.0.1/x",
    "https://127.0.0.1/x",
    "https://[::1]/x",
    "https://[::ffff:127.0.0.1]/x",
    "https://2130706433/x",
    "https://169.254.169.254/latest",
    "https://download-accl.zoho.eu/x",
    "https://www.zohoapis.com.cn/x",
    "https://www.zohoapis.in/x",
    "https://download-accl.zoho.com./x",
    "https://.zoho.com/x",
    "https://download-accl..zoho.com/x",
    "https://zoho\u3002com/x",
    "https://z\u043eho.com/x",
    "https://xn--zho-8cd.com/x",
    "https://\u017foho.com/",
    "https://download-accl.zoho.com%2eevil.example/x",
    "https://download-accl.zoho.com%00.evil.example/x",
    "https://download-accl.zoho.com\x00.evil.example/x",
    "https://download-accl.zoho.com/../../x",
    "/v7/../../x",
    "/v7/%2e%2e/x",
    "/v7/.%2E/x",
    "/v7/..%2f..%2fx",
    "/v7/%252e%252e/x",
    "/v7/%25252e%25252e/x",
    "/%2f%2fevil.example/x",
    "/%2Fevil.example/x",
    "/%5c%5cevil.example/x",
    "/v7/x%00.zip",
    "/v7/x%0d%0aHost:%20evil.example",
    "/v7/x%0D%0AX:y.zip",
    "/v7/x%2500.zip",
    "https://download-accl.zoho.com/v7/..%2f..%2fx",
    "https://download-accl.zoho.com/%2f%2fevil.example/x",
    "https://download-accl.zoho.com/x%0d%0ax",
    "hTTps://Evil.Example/x",
    "HtTp://download-accl.zoho.com/x",
    "https://\uff45\uff56\uff49\uff4c.example/x",
    "https://download-accl.zoho.com\uff0f@evil.example/x",
    "https://download-accl\u2024zoho.com/x",
    "https://0x7f.0.0.1/x",
    "https://0177.0.0.1/x",
    "https://127.1/x",
    "https://[fe80::1%25eth0]/x",
    "https://download-accl.zoho.com:443x/x",
    "https://download-accl.zoho.com:\u0661/x",
    "https://download-accl_zoho.com/x",
    "https://-zoho.com/x",
    "https://zohocrm.com.evil.example/x",
    "https://notzohocrm.com/x",
    "https://zohoapis.com.evil.example/x",
    "https://zohoapis.co/x",
    "https://zoho.co/x",
    "wss://download-accl.zoho.com/x",
    "blob:https://download-accl.zoho.com/x",
    "view-source:https://download-accl.zoho.com/x",
    "javascript:alert(1)",
    "data:text/html,x",
    "file:///etc/passwd",
    "ftp://download-accl.zoho.com/x",
    "gopher://download-accl.zoho.com/x",
    "mailto:x@zoho.com",
    "https://",
    "://download-accl.zoho.com/x",
    "",
    " ",
    "/",
    "?x=1",
    "#x",
    "/x#//evil.example",
    "/x y",
    "/x\x7f",
    "/\u202emoc.live",
    "/" + "x" * 3000,
    "https://download-accl.zoho.com/" + "x" * 3000,
]


@pytest.mark.parametrize("url", HOSTILE)
def test_a_hostile_download_address_leads_nowhere(url):
    assert len(HOSTILE) >= 40
    with pytest.raises(UnsafeUrlError) as caught:
        US.resolve_download(url)
    assert str(caught.value).isascii()
    assert not US.may_receive_token(url)


@pytest.mark.parametrize("path", [RELATIVE, RELATIVE.lstrip("/")])
def test_a_relative_address_is_tried_on_the_download_host_and_then_the_api(path):
    assert US.resolve_download(path) == [
        "https://download-accl.zoho.com" + RELATIVE,
        "https://www.zohoapis.com" + RELATIVE,
    ]


def test_a_name_that_looks_like_a_host_stays_a_path():
    for url in US.resolve_download("evil.example/x"):
        assert parse_address(url).host in ("download-accl.zoho.com", "www.zohoapis.com")


@pytest.mark.parametrize(
    "url",
    [
        "https://download-accl.zoho.com/v2/crm/6735/bulk-write/1/1.zip",
        "https://download.zohocrm.com/v2/bulk/write/1/result?x=a%20b",
        "https://www.zohoapis.com/v7/x",
    ],
)
def test_an_absolute_address_of_the_own_data_centre_stays_as_it_is(url):
    assert US.resolve_download(url) == [url]


def test_an_absolute_address_is_written_plainly():
    assert US.resolve_download("HTTPS://Download-Accl.Zoho.COM:443/x") == [
        "https://download-accl.zoho.com/x"
    ]


@pytest.mark.parametrize("key", DATA_CENTERS)
def test_a_data_centre_trusts_its_own_hosts_and_no_other_s(key):
    region = region_for(key)
    for own in (region.api_url, region.accounts_url, *region.download_urls):
        assert region.may_receive_token(own + "/x")
    for other in DATA_CENTERS:
        if other != key:
            assert not region.may_receive_token(region_for(other).api_url)
            assert not region.may_receive_token(region_for(other).accounts_url)


def test_the_hosts_that_differ_from_the_pattern():
    canada = region_for("ca")
    assert canada.accounts_url == "https://accounts.zohocloud.ca"
    assert canada.download_urls[0] == "https://download-accl.zohocloud.ca"
    assert region_for("au").api_url == "https://www.zohoapis.com.au"


def test_only_documented_data_centres_are_confirmed():
    unconfirmed = {key for key in DATA_CENTERS if not region_for(key).confirmed}
    assert unconfirmed == {"uk", "ae"}


def test_the_environment_has_its_own_api_host_and_the_same_accounts_host():
    assert region_for("eu", "sandbox").api_url == "https://sandbox.zohoapis.eu"
    assert region_for("eu", "developer").api_url == "https://developer.zohoapis.eu"
    assert region_for("eu", "sandbox").accounts_url == region_for("eu").accounts_url


class TestCustom:
    def test_only_the_given_addresses_are_trusted(self):
        region = region_for(
            "custom",
            api_url="http://127.0.0.1:9001/",
            accounts_url="http://localhost:9002",
            download_url="https://files.example:8443",
        )
        assert region.api_url == "http://127.0.0.1:9001"
        assert region.may_receive_token("http://127.0.0.1:9001/x")
        assert region.may_receive_token("https://files.example:8443/x")
        assert not region.may_receive_token("http://127.0.0.1:9003/x")
        assert not region.may_receive_token("https://127.0.0.1:9001/x")
        assert not region.may_receive_token("http://files.example:8443/x")
        assert not region.may_receive_token("https://www.zohoapis.com/x")
        assert region.resolve_download("/x") == [
            "https://files.example:8443/x",
            "http://127.0.0.1:9001/x",
        ]

    @pytest.mark.parametrize(
        "url",
        ["http://example.com", "ftp://localhost", "", "localhost", "https://u:p@x.example", "//x"],
    )
    def test_an_address_must_be_https_or_on_this_machine(self, url):
        with pytest.raises(AddressError, match="address") as refused:
            region_for("custom", api_url=url, accounts_url="https://a.example")
        assert refused.value.which == "api_url"
        with pytest.raises(AddressError, match="address") as refused:
            region_for("custom", api_url="https://a.example", accounts_url=url)
        assert refused.value.which == "accounts_url"


@pytest.mark.parametrize("key", ["", "US", "mars", "www"])
def test_an_unknown_data_centre_is_refused_with_the_choices(key):
    with pytest.raises(ValueError, match="choose one of us, eu"):
        region_for(key)


def test_an_unknown_environment_is_refused():
    with pytest.raises(ValueError, match="production, sandbox, developer"):
        region_for("us", "staging")


class TestApiDomain:
    @pytest.mark.parametrize("domain", ["https://www.zohoapis.com", "https://www.zohoapis.com/"])
    def test_the_host_that_is_used_anyway_changes_nothing(self, domain):
        assert US.with_api_domain(domain) is US

    @pytest.mark.parametrize(
        ("data_center", "environment", "domain"),
        [
            ("ca", "production", "https://www.zohocloud.ca"),
            ("ca", "sandbox", "https://sandbox.zohocloud.ca"),
            ("us", "production", "https://www.zohocrm.com"),
            ("eu", "developer", "https://developer.zoho.eu"),
        ],
    )
    def test_another_host_of_the_environment_in_the_data_centre_is_honoured(
        self, data_center, environment, domain
    ):
        region = region_for(data_center, environment)

        named = region.with_api_domain(f"{domain}/")

        assert named.api_url == domain
        assert named.download_urls == (region.download_urls[0], domain)
        assert (named.accounts_url, named.domains) == (region.accounts_url, region.domains)

    @pytest.mark.parametrize(
        "domain",
        [
            "https://evil.example",
            "http://www.zohoapis.com",
            "https://www.zohoapis.eu",
            "https://sandbox.zohoapis.com",
            "https://projects.zoho.com",
            "https://accounts.zoho.com",
            "https://zohoapis.com",
            "https://www.zohoapis.com.evil.example",
            "https://www.zohoapis.com@evil.example",
            "https://www.zohoapis.com:8443",
            "https://sandbox.zohocrm.com",
            "",
            "www.zohoapis.com",
        ],
    )
    def test_any_other_host_changes_nothing(self, domain):
        assert US.with_api_domain(domain) is US

    @pytest.mark.parametrize(
        "domain", ["https://www.zohoapis.com", "http://localhost:3", "https://localhost:1", ""]
    )
    def test_of_addresses_of_ones_own_no_other_is_honoured(self, domain):
        region = region_for("custom", api_url="http://localhost:1", accounts_url="http://[::1]:2")
        assert region.with_api_domain(domain) is region

    def test_of_addresses_of_ones_own_another_one_is_honoured(self):
        region = region_for("custom", api_url="http://localhost:1", accounts_url="http://[::1]:2")
        assert region.with_api_domain("http://[::1]:2").api_url == "http://[::1]:2"

    def test_the_path_of_ones_own_api_address_is_kept(self):
        url = "https://proxy.example/zoho"
        region = region_for("custom", api_url=url, accounts_url="https://accounts.example")
        assert region.with_api_domain("https://proxy.example").api_url == url


@pytest.mark.parametrize(
    "address",
    [
        "http://user:secret@evil.example/x.zip",
        "https://user:se/secret@evil.example/x.zip",
        "//user:secret@evil.example/x.zip",
        "\\\\user:secret@evil.example/x.zip",
        "http:\t//user:secret@evil.example/x.zip",
        "user:secret@evil.example/x.zip",
    ],
)
def test_a_refused_address_is_not_shown_where_it_may_hold_a_password(address):
    with pytest.raises(UnsafeUrlError) as refused:
        region_for("eu").resolve_download(address)

    assert "not shown" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_any_other_refused_address_is_shown():
    address = "https://evil.example/x?as=a@download-accl.zoho.eu"
    with pytest.raises(UnsafeUrlError) as refused:
        region_for("eu").resolve_download(address)

    assert address in str(refused.value)
