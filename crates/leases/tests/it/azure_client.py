"""Asks for a token in each way by Microsoft's own libraries and prints the tokens, one a line.

Arguments: URL of the server, a folder for a certificate, tenant, application, resource. Secrets come by variables.
Between the libraries, which want TLS, and the server stands a proxy of this program.
"""

import datetime
import http.client
import http.server
import ipaddress
import os
import ssl
import sys
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

server, folder, tenant, client, resource = sys.argv[1:]
backend = server.removeprefix("http://")


def certificate():
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = os.path.join(folder, "tls.pem")
    with open(path, "wb") as file:
        file.write(made.public_bytes(serialization.Encoding.PEM))
        file.write(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
    return path


class Proxy(http.server.BaseHTTPRequestHandler):
    def forward(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        connection = http.client.HTTPConnection(backend)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        self.send_header("content-type", answer.getheader("content-type", "text/plain"))
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = forward

    def log_message(self, *_):
        pass


def proxy(path):
    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    listener.socket = context.wrap_socket(listener.socket, server_side=True)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    return f"https://127.0.0.1:{listener.server_address[1]}"


tls = certificate()
os.environ["REQUESTS_CA_BUNDLE"] = tls
authority = proxy(tls)

import msal
from azure.identity import ClientAssertionCredential, ClientSecretCredential, ManagedIdentityCredential

scope = f"{resource}/.default"
settings = {"authority": authority, "disable_instance_discovery": True}
by_secret = ClientSecretCredential(tenant, client, os.environ["CLIENT_SECRET"], **settings)
print(by_secret.get_token(scope).token)

# The credential of azure-identity signs by SHA-1; the library below it signs as Microsoft's page says.
by_certificate = msal.ConfidentialClientApplication(
    client,
    authority=f"{authority}/{tenant}",
    client_credential={
        "private_key": os.environ["CLIENT_KEY"],
        "public_certificate": os.environ["CLIENT_CERTIFICATE"],
    },
    instance_discovery=False,
    verify=tls,
)
answer = by_certificate.acquire_token_for_client([scope])
print(answer["access_token"] if "access_token" in answer else sys.exit(str(answer)))

by_assertion = ClientAssertionCredential(
    tenant, client, lambda: os.environ["CLIENT_ASSERTION"], **settings
)
print(by_assertion.get_token(scope).token)

os.environ["AZURE_POD_IDENTITY_AUTHORITY_HOST"] = server
print(ManagedIdentityCredential().get_token(scope).token)

os.environ["IDENTITY_ENDPOINT"] = f"{server}/msi/token"
os.environ["IDENTITY_HEADER"] = os.environ["APP_SERVICE_HEADER"]
print(ManagedIdentityCredential().get_token(scope).token)
