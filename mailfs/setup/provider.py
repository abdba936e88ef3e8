"""Providers whose servers are known, as their own help pages name them.

A provider is chosen by name, by the domain of the address, or by who takes the mail
of that domain.
"""

from dataclasses import dataclass

PASSWORD, OAUTH = "password", "oauth"  # ways to log in
ADDRESS, LOCAL = "address", "local"  # what the user name is: all of it, or before the @


@dataclass(frozen=True, slots=True)
class Provider:
    """What is known of one.

    domains  of addresses; mx: what the names of its mail exchangers end in
    oauth    the name of the OAuth2 provider, as mailfs factotum knows it, or an issuer
    ways     to log in, the usual one first
    note     what a person has to do there first
    copies   whether the server that takes mail files a copy among what was sent
    """

    name: str
    title: str
    incoming: str
    outgoing: str
    domains: tuple[str, ...] = ()
    mx: tuple[str, ...] = ()
    ways: tuple[str, ...] = (PASSWORD,)
    oauth: str = ""
    note: str = ""
    user: str = ADDRESS  # for incoming; outgoing is the address everywhere
    copies: bool = False


_GOOGLE_NOTE = (
    "Google takes no ordinary password: make an app password at\n"
    "https://myaccount.google.com/apppasswords (it wants 2-step verification), or use\n"
    "OAuth2 with a client ID of your own from https://console.cloud.google.com."
)
_MICROSOFT_NOTE = (
    "Microsoft takes OAuth2 only: register an application with the redirect URI\n"
    "http://localhost at https://portal.azure.com and have its client ID at hand."
)
_APP = "Make an app password first: %s"

PROVIDERS: tuple[Provider, ...] = (
    Provider(
        "gmail",
        "Gmail",
        "/imaps/imap.gmail.com",
        "/submissions/smtp.gmail.com",
        ("gmail.com", "googlemail.com"),
        ("google.com", "googlemail.com"),
        (PASSWORD, OAUTH),
        "google",
        _GOOGLE_NOTE,
        copies=True,
    ),
    Provider(
        "outlook",
        "Outlook.com",
        "/imaps/outlook.office365.com",
        "/submission/smtp-mail.outlook.com",
        ("outlook.com", "hotmail.com", "live.com", "msn.com", "outlook.de"),
        ("olc.protection.outlook.com",),
        (OAUTH,),
        "microsoft",
        _MICROSOFT_NOTE,
        copies=True,
    ),
    Provider(
        "office365",
        "Office 365",
        "/imaps/outlook.office365.com",
        "/submission/smtp.office365.com",
        (),
        ("mail.protection.outlook.com", "mx.microsoft"),
        (OAUTH,),
        "microsoft",
        _MICROSOFT_NOTE,
        copies=True,
    ),
    Provider(
        "fastmail",
        "Fastmail",
        "/imaps/imap.fastmail.com",
        "/submissions/smtp.fastmail.com",
        ("fastmail.com", "fastmail.fm", "fastmail.net", "fastmail.org", "sent.com"),
        ("messagingengine.com",),
        note=_APP % "https://app.fastmail.com/settings/security/apps",
    ),
    Provider(
        "icloud",
        "iCloud",
        "/imaps/imap.mail.me.com",
        "/submission/smtp.mail.me.com",
        ("icloud.com", "me.com", "mac.com"),
        ("mail.icloud.com",),
        note=_APP % "https://account.apple.com",
        user=LOCAL,
    ),
    Provider(
        "yahoo",
        "Yahoo",
        "/imaps/imap.mail.yahoo.com",
        "/submissions/smtp.mail.yahoo.com",
        (
            "yahoo.com",
            "yahoo.co.uk",
            "yahoo.de",
            "yahoo.fr",
            "ymail.com",
            "myyahoo.com",
        ),
        ("yahoodns.net",),
        note=_APP % "https://login.yahoo.com/account/security",
    ),
    Provider(
        "aol",
        "AOL",
        "/imaps/imap.aol.com",
        "/submissions/smtp.aol.com",
        ("aol.com",),
        note=_APP % "https://login.aol.com/account/security",
    ),
    Provider(
        "gmx",
        "GMX",
        "/imaps/imap.gmx.net",
        "/submissions/mail.gmx.net",
        ("gmx.net", "gmx.de", "gmx.at", "gmx.ch", "gmx.eu"),
        ("gmx.net",),
        note="Allow POP3 and IMAP in GMX's settings first.",
    ),
    Provider(
        "gmxcom",
        "GMX.com",
        "/imaps/imap.gmx.com",
        "/submissions/mail.gmx.com",
        ("gmx.com", "gmx.us", "gmx.co.uk"),
        note="Allow POP3 and IMAP in GMX's settings first.",
    ),
    Provider(
        "webde",
        "WEB.DE",
        "/imaps/imap.web.de",
        "/submission/smtp.web.de",
        ("web.de",),
        note="Allow POP3 and IMAP in WEB.DE's settings first.",
    ),
    Provider(
        "posteo",
        "posteo",
        "/imaps/posteo.de",
        "/submissions/posteo.de",
        ("posteo.de", "posteo.net", "posteo.org", "posteo.eu", "posteo.ch"),
        ("posteo.de",),
    ),
    Provider(
        "mailbox",
        "mailbox.org",
        "/imaps/imap.mailbox.org",
        "/submissions/smtp.mailbox.org",
        ("mailbox.org",),
        ("mailbox.org",),
    ),
    Provider(
        "migadu",
        "Migadu",
        "/imaps/imap.migadu.com",
        "/submissions/smtp.migadu.com",
        (),
        ("migadu.com",),
    ),
    Provider(
        "zoho",
        "Zoho",
        "/imaps/imap.zoho.com",
        "/submissions/smtp.zoho.com",
        ("zohomail.com", "zoho.com"),
        ("zoho.com",),
        note="Allow IMAP in Zoho's settings first.",
    ),
    Provider(
        "proton",
        "Proton, by its Bridge on this machine",
        "/imaptls/tcp!127.0.0.1!1143",
        "/submission/tcp!127.0.0.1!1025",
        ("proton.me", "protonmail.com", "protonmail.ch", "pm.me"),
        note="Start Proton Mail Bridge first; the password is the one it shows.",
    ),
)
OWN = Provider("own", "another server", "", "")


def named(name: str) -> Provider | None:
    """Return the provider with a name, OWN for its own, None for no such."""
    wanted = name.lower()
    return next((p for p in (*PROVIDERS, OWN) if p.name == wanted), None)


def of_domain(domain: str) -> Provider | None:
    """Return the provider of addresses in a domain."""
    wanted = domain.lower()
    return next((p for p in PROVIDERS if wanted in p.domains), None)


def of_exchanger(host: str) -> Provider | None:
    """Return the provider whose exchanger has this name."""
    name = host.lower().removesuffix(".")
    for one in PROVIDERS:
        if any(name == end or name.endswith(f".{end}") for end in one.mx):
            return one
    return None
