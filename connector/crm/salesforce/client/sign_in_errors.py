"""Sign-in errors of Salesforce's token service, with meaning and advice. A table without logic.

docs/salesforce-sign-in.md shows this table to people; a test keeps the two equal. Source: Salesforce Help, "OAuth 2.0
Authorization Errors", "OAuth 2.0 Client Credentials Flow", "OAuth 2.0 JWT Bearer Flow". Wordings that the Help does not
list are from public issue threads. The wordings for a locked-out user, an expired password, a blocked app, an expired
certificate and a flow that is not enabled are assumptions: no real response was found, so they are matched by their
most likely words.
"""

from dataclasses import dataclass

APP = "in Setup, External Client App Manager, open the app"
MY_DOMAIN = "url: must be the org's My Domain address, as Setup, My Domain shows it"
AUDIENCE = f"{MY_DOMAIN}; that of a sandbox holds .sandbox.my.salesforce.com"
TOO_OFTEN = "somebody signs in too often with this user: wait an hour, and give each program its own user"
NOT_LET_IN = f"{APP}, Policies, and give the integration user access to it, by profile or permission set"
PLACE_AND_TIME = (
    "add this server's address to the Login IP Ranges of the integration user's profile, or relax the app's policy; and take the "
    "Login Hours out of that profile"
)
LOGIN_HISTORY = "look at the integration user's Login History in Setup: it says why the sign-in failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInError:
    """One error: `says` is a part of `error: description`, in lower case."""

    says: str
    means: str
    cure: str
    passes: bool = False  # it goes away by itself: the credentials are not the problem


def _passes(says: str, means: str) -> SignInError:
    return SignInError(
        says=says, means=means, cure="no action is needed: it will be tried again automatically", passes=True
    )


def _refused(says: str, means: str, cure: str) -> SignInError:
    return SignInError(says=says, means=means, cure=cure)


# The first match is used: rows for a description stand before rows for an error code.
SIGN_IN_ERRORS: tuple[SignInError, ...] = (
    _passes("token request is already being processed", "another sign-in of the same app is under way"),
    _passes("retry your request", "a fault inside Salesforce"),
    _passes("unknown_error", "a fault inside Salesforce"),
    _passes("temporarily_unavailable", "the sign-in service is overloaded"),
    _passes("server_error", "a fault inside Salesforce"),
    _refused("request not supported on this domain", "url: is not the address of one org", MY_DOMAIN),
    _refused(
        "no client credentials user enabled",
        "the app has no user to act as",
        f"{APP}, Policies, tick Enable Client Credentials Flow and choose a Run As user with the permissions of the integration",
    ),
    _refused(
        "client credentials flow is not enabled",
        "the app does not allow this flow",
        f"{APP}, Settings and Policies, and tick Enable Client Credentials Flow in both",
    ),
    _refused(
        "hasn't approved this consumer",
        "the user is not allowed for the app",
        f"{APP}, Policies, set Permitted Users to admin-approved, and add the integration user's profile or permission set",
    ),
    _refused("not admin approved", "the user is not allowed for the app", NOT_LET_IN),
    _refused(
        "app must be installed",
        "the app is from another org and is not installed in this one",
        "install and approve the app in this org: apps from elsewhere are blocked since September 2025",
    ),
    _refused(
        "app is blocked",
        "an administrator has blocked the app",
        "in Setup, Connected Apps OAuth Usage, unblock and install the app",
    ),
    _refused("login rate exceeded", "too many sign-ins", TOO_OFTEN),
    _refused("rate_limit_exceeded", "too many sign-ins", TOO_OFTEN),
    _refused("logins exceeded", "too many sign-ins", TOO_OFTEN),
    _refused("ip restricted", "this server's address, or the hour, is not allowed", PLACE_AND_TIME),
    _refused("ip not allowed", "this server's address is not allowed", PLACE_AND_TIME),
    _refused("invalid login hours", "the profile of the user has login hours", PLACE_AND_TIME),
    _refused(
        "user locked out",
        "the user is locked out after wrong passwords",
        "in Setup, Users, unlock the integration user, and find out from its Login History who tries",
    ),
    _refused(
        "expired password",
        "the password of the user has expired",
        "in Setup, Users, give the integration user a new password, and tick Password Never Expires in its permission set",
    ),
    _refused("inactive user", "the user is not active", "activate the integration user in Setup, Users"),
    _refused("inactive_user", "the user is not active", "activate the integration user in Setup, Users"),
    _refused(
        "inactive organization",
        "the org is locked, closed or suspended",
        "the org is locked or deleted: ask Salesforce, or correct url:",
    ),
    _refused(
        "inactive_org",
        "the org is locked, closed or suspended",
        "the org is locked or deleted: ask Salesforce, or correct url:",
    ),
    _refused(
        "organization is locked",
        "the org is locked, closed or suspended",
        "ask your Salesforce administrator, or Salesforce, why the org is locked: contract, payment or a move",
    ),
    _refused("audience is invalid", "the assertion is addressed to another kind of org", AUDIENCE),
    _refused("audience validation failed", "the assertion is addressed to another kind of org", AUDIENCE),
    _refused(
        "not within validity period",
        "the clocks differ",
        "set this server's clock: it must be right within three minutes",
    ),
    _refused(
        "expired authorization code",
        "the assertion was too old when it arrived",
        "set this server's clock: it must be right within three minutes",
    ),
    _refused(
        "certificate",
        "the app's certificate has expired or is not the right one",
        f"{APP}, Settings, and upload a certificate that is valid and belongs to private_key:",
    ),
    _refused(
        "invalid assertion",
        "the assertion was not signed with the key of the app's certificate",
        "private_key: must belong to the certificate that was uploaded to the app, and that must not have expired",
    ),
    _refused(
        "expired access/refresh token",
        "the user's permission for the app was taken back",
        f"{APP}, Policies, and check that the user is still permitted",
    ),
    _refused(
        "no valid scopes",
        "the app has no OAuth scope that this flow can use",
        f"{APP}, Settings, OAuth Scopes, and add: Manage user data via APIs (api)",
    ),
    _refused(
        "invalid_scope",
        "the app lacks an OAuth scope",
        f"{APP}, Settings, OAuth Scopes, and add: Manage user data via APIs (api)",
    ),
    _refused(
        "secret type not supported",
        "the app does not take a consumer secret for this flow",
        f"{APP}, Settings, and tick Require Secret for Web Server Flow and the flow that sign_in: uses",
    ),
    _refused("invalid_app_access", "the user is not allowed for the app", NOT_LET_IN),
    _refused("oauth_app_access_denied", "the user is not allowed for the app", NOT_LET_IN),
    _refused("access_denied", "the user is not allowed for the app", NOT_LET_IN),
    _refused(
        "unauthorized_client",
        "the app may not use this flow",
        f"{APP}, Settings, and tick the flow that sign_in: uses",
    ),
    _refused(
        "unsupported_grant_type",
        "the app may not use this flow",
        f"{APP}, Settings, and tick the flow that sign_in: uses",
    ),
    _refused(
        "invalid_client_id",
        "the org has no app with this consumer key, or not yet",
        "client_id: must be the app's Consumer Key, of an app in this very org; a new app needs ten minutes until it is known",
    ),
    _refused(
        "invalid_client",
        "the consumer secret is wrong",
        "client_secret: must be the app's Consumer Secret; it changes when somebody rotates it",
    ),
    _refused(
        "authentication failure",
        "Salesforce does not say why",
        LOGIN_HISTORY,
    ),
    _refused("invalid_grant", "Salesforce does not say why", LOGIN_HISTORY),
)
UNKNOWN = SignInError(says="", means="an unknown refusal", cure=LOGIN_HISTORY)


def find(error: str, description: str) -> SignInError:
    """The row for an error; UNKNOWN if no row matches."""
    said = f"{error}: {description}".lower().replace("\u2019", "'")
    return next((row for row in SIGN_IN_ERRORS if row.says in said), UNKNOWN)
