"""Token errors by our own names: HTTP status, `error` and `error_description`.

Source: Salesforce Help, "OAuth 2.0 Authorization Errors"; the rest is from public issue threads. The texts of
flow_not_enabled, blocked, locked_out, expired_password, expired_certificate, app_access_denied and flow_not_allowed are
assumptions.
"""

LOGIN_REFUSALS: dict[str, tuple[int, str, str]] = {
    "no_run_as_user": (400, "invalid_grant", "no client credentials user enabled"),
    "flow_not_enabled": (400, "invalid_grant", "client credentials flow is not enabled"),
    "already_processed": (400, "invalid_grant", "token request is already being processed"),
    "retry_your_request": (400, "unknown_error", "retry your request"),
    "wrong_domain": (400, "invalid_grant", "request not supported on this domain"),
    "not_approved": (400, "invalid_grant", "user hasn't approved this consumer"),
    "not_admin_approved": (400, "invalid_grant", "user is not admin approved to access this app"),
    "not_installed": (400, "invalid_grant", "app must be installed into org"),
    "blocked": (400, "invalid_grant", "oauth app is blocked by admin"),
    "login_rate": (400, "invalid_grant", "login rate exceeded"),
    "rate_limit": (400, "rate_limit_exceeded", "number of logins exceeded"),
    "maximum_logins": (400, "invalid_grant", "Maximum Logins Exceeded"),
    "ip_restricted": (400, "invalid_grant", "ip restricted"),
    "login_hours": (400, "invalid_grant", "ip restricted or invalid login hours"),
    "locked_out": (400, "invalid_grant", "user locked out"),
    "expired_password": (400, "invalid_grant", "expired password"),
    "inactive_user": (400, "invalid_grant", "inactive user"),
    "inactive_user_code": (400, "inactive_user", "user is inactive"),
    "inactive_organization": (400, "invalid_grant", "inactive organization"),
    "inactive_org_code": (400, "inactive_org", "organization is locked, closed, or suspended"),
    "audience": (400, "invalid_grant", "audience is invalid"),
    "audience_validation": (400, "invalid_grant", "Audience validation failed"),
    "validity": (400, "invalid_grant", "assertion is not within validity period"),
    "invalid_assertion": (400, "invalid_grant", "invalid assertion"),
    "expired_certificate": (400, "invalid_grant", "certificate is expired"),
    "expired_token": (400, "invalid_grant", "expired access/refresh token"),
    "no_valid_scopes": (400, "invalid_grant", "no valid scopes defined"),
    "app_access": (400, "invalid_app_access", "user is not admin approved to access this app"),
    "app_access_denied": (400, "OAUTH_APP_ACCESS_DENIED", "user denied access"),
    "flow_not_allowed": (400, "unauthorized_client", "client is not authorized for this flow"),
    "grant_type": (400, "unsupported_grant_type", "grant type not supported"),
    "consumer_key": (400, "invalid_client_id", "client identifier invalid"),
    "consumer_secret": (400, "invalid_client", "invalid client credentials"),
    "authentication_failure": (400, "invalid_grant", "authentication failure"),
}
