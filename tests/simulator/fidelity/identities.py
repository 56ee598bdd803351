"""azure-identity for Python: every kind of identity in the local Azure, and its errors as reported by that library."""

import asyncio
import base64
import datetime
import json
import uuid

from azure.core.exceptions import ClientAuthenticationError
from azure.identity import (
    AzureAuthorityHosts,
    CertificateCredential,
    ClientSecretCredential,
    CredentialUnavailableError,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)
from azure.identity.aio import CertificateCredential as AsyncCertificateCredential
from azure.identity.aio import ClientSecretCredential as AsyncClientSecretCredential
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from local_azure import SECRET, TENANT, LocalAzure
from scenario import refused, same, scenario

SCOPE = "https://*.asazure.windows.net/.default"
POWER_BI = "https://analysis.windows.net/powerbi/api/.default"
ISSUER = "https://cluster.fidelity.example"


def claims(token: str) -> dict:
    """The claims of a token."""
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def granted(azure: LocalAzure, credential, client: str, kind: str, scope: str = SCOPE) -> None:
    """Fails unless the credential gets a token for the scope, by the expected kind of credential in the ledger."""
    issued = claims(credential.get_token(scope).token)
    same((issued["aud"], issued["appid"]), (scope.removesuffix("/.default"), client), "the token's audience and application")
    row = azure.rows(client)[-1]
    same((row["credential"], row["status"]), (kind, 200), "the ledger's last row")


def pair(azure: LocalAzure, name: str) -> tuple[str, str]:
    """A certificate with its key in one PEM file, and the certificate only."""
    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    certificate = certificate.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
    certificate = certificate.not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = azure.directory / f"{name}.pem"
    path.write_bytes(secret + pem)
    return str(path), pem.decode()


class Cluster:
    """An issuer of service account tokens, with its own key."""

    def __init__(self, azure: LocalAzure) -> None:
        self.key = rsa.generate_private_key(65537, 2048)
        self.file = azure.directory / "federated-token"
        public = self.key.public_key().public_numbers()
        number = lambda value: segment(value.to_bytes((value.bit_length() + 7) // 8, "big"))  # noqa: E731
        keys = [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "1", "n": number(public.n), "e": number(public.e)}]
        azure.ask("PUT", "/issuers", {"issuer": ISSUER, "jwks": {"keys": keys}})

    def mount(self, subject: str) -> str:
        """Writes a service account token to the path that a pod would read."""
        now = int(datetime.datetime.now().timestamp())
        claims = {"aud": ["api://AzureADTokenExchange"], "iss": ISSUER, "sub": subject, "iat": now, "nbf": now, "exp": now + 3600}
        text = f"{segment(json.dumps({'alg': 'RS256', 'kid': '1'}).encode())}.{segment(json.dumps(claims).encode())}"
        signature = self.key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        self.file.write_text(f"{text}.{segment(signature)}")
        return str(self.file)


def segment(data: bytes) -> str:
    """base64url, as in a JWT."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@scenario("azure-identity", "a secret gives a token")
def _(azure: LocalAzure) -> None:
    client = azure.application(clientSecret=SECRET)
    granted(azure, ClientSecretCredential(TENANT, client, SECRET), client, "secret")


@scenario("azure-identity", "a secret gives a token for Power BI, asynchronously")
def _(azure: LocalAzure) -> None:
    client = azure.application(clientSecret=SECRET)

    async def ask() -> str:
        async with AsyncClientSecretCredential(TENANT, client, SECRET) as credential:
            return (await credential.get_token(POWER_BI)).token

    same(claims(asyncio.run(ask()))["aud"], POWER_BI.removesuffix("/.default"))


@scenario("azure-identity", "a token is cached until it expires")
def _(azure: LocalAzure) -> None:
    client = azure.application(clientSecret=SECRET)
    credential = ClientSecretCredential(TENANT, client, SECRET)
    same(credential.get_token(SCOPE).token, credential.get_token(SCOPE).token)
    same(len([row for row in azure.rows(client) if row["route"] == "token"]), 1, "the number of token requests")


@scenario("azure-identity", "a wrong secret, an expired one and an unknown application are distinguished")
def _(azure: LocalAzure) -> None:
    client = azure.application(clientSecret=SECRET)
    ask = lambda who, secret: lambda: ClientSecretCredential(TENANT, who, secret).get_token(SCOPE)  # noqa: E731
    refused(ask(client, "wrong"), ClientAuthenticationError, "AADSTS7000215")
    refused(ask(azure.application(clientSecret=SECRET, secretExpired=True), SECRET), ClientAuthenticationError, "AADSTS7000222")
    refused(ask(str(uuid.uuid4()), SECRET), ClientAuthenticationError, "AADSTS700016")


@scenario("azure-identity", "the library retries after a short outage of Entra ID")
def _(azure: LocalAzure) -> None:
    client = azure.application(clientSecret=SECRET)
    azure.ask("POST", "/faults", {"match": {"clientId": client}, "action": {"html": {"code": 503}}})
    granted(azure, ClientSecretCredential(TENANT, client, SECRET), client, "secret")
    same([row["status"] for row in azure.rows(client)], [503, 200], "the statuses")


@scenario("azure-identity", "a certificate gives a token")
def _(azure: LocalAzure) -> None:
    path, pem = pair(azure, "registered")
    client = azure.application(certificates=[pem])
    granted(azure, CertificateCredential(TENANT, client, path), client, "certificate")


@scenario("azure-identity", "a certificate is sent along with the assertion")
def _(azure: LocalAzure) -> None:
    path, pem = pair(azure, "sent")
    client = azure.application(certificates=[pem])
    granted(azure, CertificateCredential(TENANT, client, path, send_certificate_chain=True), client, "certificate")


@scenario("azure-identity", "a certificate gives a token, asynchronously")
def _(azure: LocalAzure) -> None:
    path, pem = pair(azure, "asynchronous")
    client = azure.application(certificates=[pem])

    async def ask() -> str:
        async with AsyncCertificateCredential(TENANT, client, path) as credential:
            return (await credential.get_token(SCOPE)).token

    same(claims(asyncio.run(ask()))["appid"], client, "the token's application")


@scenario("azure-identity", "a certificate that is not registered is refused")
def _(azure: LocalAzure) -> None:
    path, _pem = pair(azure, "unregistered")
    _path, registered = pair(azure, "known")
    client = azure.application(certificates=[registered])
    credential = CertificateCredential(TENANT, client, path)
    refused(lambda: credential.get_token(SCOPE), ClientAuthenticationError, "AADSTS700027.*not registered on application")


@scenario("azure-identity", "a workload identity gives a token")
def _(azure: LocalAzure) -> None:
    subject = "system:serviceaccount:bi:refresher"
    token = Cluster(azure).mount(subject)
    client = azure.application(federatedCredentials=[{"issuer": ISSUER, "subject": subject}])
    credential = WorkloadIdentityCredential(tenant_id=TENANT, client_id=client, token_file_path=token)
    granted(azure, credential, client, "federated")


@scenario("azure-identity", "the workload identity of another namespace is refused")
def _(azure: LocalAzure) -> None:
    token = Cluster(azure).mount("system:serviceaccount:other:refresher")
    client = azure.application(federatedCredentials=[{"issuer": ISSUER, "subject": "system:serviceaccount:bi:refresher"}])
    credential = WorkloadIdentityCredential(tenant_id=TENANT, client_id=client, token_file_path=token)
    refused(lambda: credential.get_token(SCOPE), ClientAuthenticationError, "AADSTS700213.*serviceaccount:other:refresher")


@scenario("azure-identity", "a user-assigned managed identity gives a token")
def _(azure: LocalAzure) -> None:
    client = str(uuid.uuid4())
    azure.ask("PUT", "/managed-identities", {"tenantId": TENANT, "clientId": client})
    granted(azure, ManagedIdentityCredential(client_id=client), client, "managed")


@scenario("azure-identity", "the system-assigned managed identity gives a token")
def _(azure: LocalAzure) -> None:
    client = str(uuid.uuid4())
    azure.ask("PUT", "/managed-identities", {"tenantId": TENANT, "clientId": client, "systemAssigned": True})
    granted(azure, ManagedIdentityCredential(), client, "managed")


@scenario("azure-identity", "a missing managed identity is reported as unavailable")
def _(azure: LocalAzure) -> None:
    credential = ManagedIdentityCredential(client_id=str(uuid.uuid4()))
    refused(lambda: credential.get_token(SCOPE), CredentialUnavailableError, "(?i)identity")


@scenario("azure-identity", "the library retries when the metadata service throttles, is updating or fails")
def _(azure: LocalAzure) -> None:
    for status in (429, 410, 500):
        client = str(uuid.uuid4())
        azure.ask("PUT", "/managed-identities", {"tenantId": TENANT, "clientId": client})
        match = {"match": {"host": "169.254.169.254", "clientId": client}}
        azure.ask("POST", "/faults", match | {"action": {"status": {"code": status, "body": {"error": "unknown"}}}})
        granted(azure, ManagedIdentityCredential(client_id=client), client, "managed")
        statuses = [row["status"] for row in azure.rows(client)]
        same(statuses[-2:], [status, 200], "the last statuses")


@scenario("azure-identity", "the authorities of the sovereign clouds issue tokens for their tenants and resources")
def _(azure: LocalAzure) -> None:
    for cloud, authority, resource in (
        ("us-government", AzureAuthorityHosts.AZURE_GOVERNMENT, "https://*.asazure.usgovcloudapi.net"),
        ("china", AzureAuthorityHosts.AZURE_CHINA, "https://*.asazure.chinacloudapi.cn"),
    ):
        tenant = str(uuid.uuid4())
        client = azure.application(tenant, cloud=cloud, clientSecret=SECRET)
        granted(azure, ClientSecretCredential(tenant, client, SECRET, authority=authority), client, "secret", f"{resource}/.default")
        same({row["host"] for row in azure.rows(client)}, {authority}, "the hosts")
        astray = ClientSecretCredential(tenant, client, SECRET)
        # If possible, the library checks the tenant first and reports that error with its own message.
        refused(lambda astray=astray: astray.get_token(SCOPE), Exception, "AADSTS900382|AADSTS90002|(?i:tenant)")
